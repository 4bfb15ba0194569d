"""Lengths of time as documents write them: `500ms`, `5s`, `1m30s`, `2h`, `7d`."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DURATION_PATTERN: Final = (
    r"^(?=[0-9])"
    r"([0-9]+(\.[0-9]+)?d)?([0-9]+(\.[0-9]+)?h)?([0-9]+(\.[0-9]+)?m(?!s))?"
    r"([0-9]+(\.[0-9]+)?s)?([0-9]+(\.[0-9]+)?ms)?$"
)

_EXAMPLES: Final = "write it as '500ms', '5s', '1m30s', '2h' or '7d'"
_MICROSECONDS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_WHOLE: Final = re.compile(DURATION_PATTERN)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_LENGTH_MAX: Final = 64
_MICROSECONDS_MAX: Final = 36_500 * _MICROSECONDS["d"]


def parse_duration(value: object) -> timedelta:
    """Read a duration; a `timedelta` passes through, so that Python code may give either.

    Units go from the largest to the smallest, each at most once. The resolution is a microsecond
    and the bound a hundred years.

    Raises:
        ValueError: says what was found and how a duration is written.
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError(f"a duration cannot be negative, found {value.total_seconds():g} s")
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a duration must be text; {_EXAMPLES}")  # noqa: TRY004 - pydantic's contract
    if not isinstance(value, str) or re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        raise ValueError(f"a duration needs a unit, found {value}; did you mean '{value}s'?")
    if len(value) > _LENGTH_MAX or not _WHOLE.fullmatch(value):
        raise ValueError(f"{value[:_LENGTH_MAX]!r} is not a duration; {_EXAMPLES}")
    total = sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(value))
    if total > _MICROSECONDS_MAX:
        raise ValueError(f"{value!r} is longer than a hundred years")
    if total != int(total):
        raise ValueError(f"{value!r} is finer than a microsecond")
    return timedelta(microseconds=int(total))


def format_duration(duration: timedelta) -> str:
    """The text that `parse_duration` reads back as the same duration, in the largest units."""
    left = duration // timedelta(microseconds=1)
    if left < 0:
        raise ValueError(f"a duration cannot be negative, found {duration.total_seconds():g} s")
    if left == 0:
        return "0s"
    parts = []
    for unit, size in _MICROSECONDS.items():
        if unit == "ms":
            break
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    if left:
        parts.append(f"{Decimal(left) / 1000}ms")
    return "".join(parts)


def _parse(value: Any) -> timedelta:
    return parse_duration(value)


Duration = Annotated[
    timedelta,
    BeforeValidator(_parse),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""A field of a pydantic model that is a `timedelta` in Python and text in a document."""
