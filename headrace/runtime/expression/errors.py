"""What goes wrong with expressions: before a record was read, and with one record."""

from collections.abc import Iterable
from difflib import get_close_matches

from headrace.runtime.errors import HeadraceError, RecordError

_EXCERPT_CHARACTERS = 60


class ExpressionError(HeadraceError):
    """An expression cannot be accepted; found when the flow is read.

    `text` is the whole expression (or the text with `${...}` in it), `offset` counts its characters from 0, and `message` says
    what is wrong without saying where. The error's own text says both, with columns counted from 1.
    """

    def __init__(self, message: str, text: str, offset: int = 0) -> None:
        self.message = message
        self.text = text
        self.offset = max(0, min(offset, len(text)))
        super().__init__(f"{message} at column {self.offset + 1} of {_excerpt(text, self.offset)}")


class EvaluationError(RecordError):
    """A listed function refuses a value of this record. The message names types and rules, never the value."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'event'?` when one of the candidates is close to the word, else nothing."""
    close = get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def kind_of(value: object) -> str:
    """The user's word for the type of a value."""
    return KINDS.get(type(value), "a value of another kind")


def described(value: object) -> str:
    """What a value is, in the user's words: `null`, `text`, `a number`, `a list`."""
    return with_article(kind_of(value))


def with_article(kind: str) -> str:
    """`list` becomes `a list`; mass nouns stay as they are."""
    return f"a {kind}" if kind in {"number", "boolean", "list", "map", "set"} else kind


KINDS: dict[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "list",
    tuple: "list",
    dict: "map",
    set: "set",
    frozenset: "set",
    bytes: "bytes",
}


def _excerpt(text: str, offset: int) -> str:
    flat = " ".join(text.split("\n"))
    if len(flat) <= _EXCERPT_CHARACTERS:
        return f"'{flat}'"
    begin = max(0, offset - _EXCERPT_CHARACTERS // 2)
    end = begin + _EXCERPT_CHARACTERS
    return f"'{'...' if begin else ''}{flat[begin:end]}{'...' if end < len(flat) else ''}'"
