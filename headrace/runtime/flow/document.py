"""A document that was read but not yet understood, and the bounds that every document keeps.

The bounds exist because documents may come from people who are not trusted with the process: a
few hundred bytes of YAML aliases can stand for billions of values.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from headrace.runtime.flow.places import Places

BYTES_MAX: Final = 5_000_000
"""The size of a file of flows."""
NESTING_MAX: Final = 64
"""How deep lists and mappings may stand in each other."""
VALUES_MAX: Final = 500_000
"""How many values a document may hold with its aliases expanded; long text counts by its length."""
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1
"""Whole numbers outside of these bounds do not survive JSON."""


class Mistake(NamedTuple):
    """One thing wrong with a document, and the line it stands in; 0 when there is no line."""

    line: int
    text: str


class Mistakes(list[Mistake]):
    """All that is wrong with a flow, and the flow that was probably meant (`meant`), if it can be told."""

    def __init__(self, mistakes: Iterable[Mistake], meant: object = None) -> None:
        super().__init__(mistakes)
        self.meant = meant


@dataclass
class Document:
    """One document of a file: `data` consists of dict, list, str, int, float, bool and None.

    `mistakes` are those of the text itself, such as a key given twice; `data` is then as complete
    as it can be, so that mistakes of the content are found in the same go.
    """

    data: Any
    places: Places
    mistakes: list[Mistake] = field(default_factory=list)


class UnreadableError(Exception):
    """The rest of a text cannot be read. Caught by `reading`, never seen by a user."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.mistake = Mistake(line, text)


def given_twice(key: str, line: int, first_line: int) -> Mistake:
    """The mistake of a mapping that has one key in two lines."""
    return Mistake(
        line, f"key {key!r} is given twice, first in line {first_line}; keep one of them"
    )


def nested_too_deep(line: int) -> UnreadableError:
    """The end of a text that nests lists and mappings deeper than any flow needs."""
    return UnreadableError(line, f"lists and mappings are nested deeper than {NESTING_MAX} levels")


def too_many_values(line: int) -> UnreadableError:
    """The end of a text with more values than any flow needs."""
    return UnreadableError(
        line, f"the document holds more than {VALUES_MAX} values once its aliases are expanded"
    )


def weight(text: str) -> int:
    """How many values a text counts as, so that aliases of one long text are bounded too."""
    return 1 + len(text) // 64


def whole_number(digits: str, line: int, mistakes: list[Mistake], base: int = 10) -> int | str:
    """The number that digits stand for, or their text where it is too large to be kept exactly."""
    if len(digits) <= 100:
        number = int(digits, base)
        if INTEGER_MIN <= number <= INTEGER_MAX:
            return number
    mistakes.append(
        Mistake(line, "a whole number has more than 64 bits; put it in quotes to keep it as text")
    )
    return digits


def fraction(digits: str, line: int, mistakes: list[Mistake]) -> float | str:
    """The number that digits stand for, or their text where it is larger than any float."""
    number = float(digits)
    if abs(number) != float("inf"):
        return number
    mistakes.append(Mistake(line, "a number is larger than a float can be; put it in quotes"))
    return digits
