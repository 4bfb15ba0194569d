"""The words that make a message about a document teach: what was probably meant, what was found."""

import difflib
from collections.abc import Iterable
from typing import Any


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'out'?` for the candidate nearest to a mistyped word, or nothing.

    Case, and `-`, `_` or a space between words, do not count as differences.
    """
    near = nearest(word, candidates)
    return f"; did you mean {near!r}?" if near is not None else ""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person most probably meant by `word`; None when all are far from it."""
    by_plain = {_plain(candidate): candidate for candidate in candidates}
    near = difflib.get_close_matches(_plain(word), by_plain, n=1, cutoff=0.6)
    return by_plain[near[0]] if near else None


def found(value: Any) -> str:
    """What kind of value a document holds, in plain words; shows no text, which may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text" if value else "empty text"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else type(value).__name__


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
