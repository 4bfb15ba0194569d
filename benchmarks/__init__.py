"""Contenders that do the same work in turn on one broker, and how they compare."""
