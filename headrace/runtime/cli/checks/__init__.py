"""The checks of `headrace doctor`: what keeps flows from running, and what to do about it."""
