"""How many of something in so much time, as settings write it: `100/1m`."""

from datetime import timedelta
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from headrace.runtime.duration import format_duration, parse_duration

COUNT_MAX: Final = 10_000_000


class Limit(NamedTuple):
    """At most `number` in any `per`."""

    number: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.number}/{format_duration(self.per)}"


def parse_limit(value: object) -> Limit:
    """Read a limit; a `Limit` passes through.

    Raises:
        ValueError: says what was found and how a limit is written.
    """
    if isinstance(value, Limit):
        return value
    count, slash, per = str(value).partition("/")
    if not slash or not (count.isascii() and count.isdigit()):
        raise ValueError(f"a limit is written as '100/1m', for 100 in a minute; found {value!r}")
    if not 1 <= int(count[:9]) <= COUNT_MAX or len(count) > 9:
        raise ValueError(f"a limit is 1 to {COUNT_MAX:,} in some time, found {count[:20]}")
    duration = parse_duration(per)
    if not duration:
        raise ValueError("a limit counts in some time; 0 is none")
    return Limit(int(count), duration)


def _parse(value: Any) -> Limit:
    return parse_limit(value)


LimitText = Annotated[
    Limit,
    BeforeValidator(_parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+/"}),
]
"""A field of a pydantic model that is a `Limit` in Python and text in a document."""
