"""Functions of points in time, which are numbers of milliseconds since 1970-01-01 UTC. None of them reads a clock."""

import functools
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import TIME_FORMAT_CHARACTERS_MAX

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSUwWyYzZfGuV%])*")


def parse_time(text: Any, format: Any = None, zone: Any = "UTC") -> int:  # noqa: A002  # the users' word
    """Milliseconds of ISO 8601 text, or of text in a format; `zone` counts where the text names none."""
    if type(text) is not str:
        raise refuse("parse_time", "text", text)
    try:
        moment = (
            datetime.fromisoformat(text)
            if format is None
            else datetime.strptime(text, _checked_format(format))
        )
    except (ValueError, re.error):
        raise EvaluationError(
            "parse_time needs a time in ISO 8601, such as 2024-05-01T12:00:00Z"
            if format is None
            else "parse_time needs text in its format"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone))
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError:
        raise _out_of_range("parse_time") from None


def format_time(ms: Any, format: Any = None, zone: Any = "UTC") -> str:  # noqa: A002  # the users' word
    """A time as text, in ISO 8601 with milliseconds or in a format."""
    moment = _moment("format_time", ms, zone)
    if format is None:
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return moment.strftime(_checked_format(format))


def year(ms: Any, zone: Any = "UTC") -> int:
    """The year of a time."""
    return _moment("year", ms, zone).year


def month(ms: Any, zone: Any = "UTC") -> int:
    """The month of a time, 1 to 12."""
    return _moment("month", ms, zone).month


def day(ms: Any, zone: Any = "UTC") -> int:
    """The day of the month of a time."""
    return _moment("day", ms, zone).day


def hour(ms: Any, zone: Any = "UTC") -> int:
    """The hour of a time, 0 to 23."""
    return _moment("hour", ms, zone).hour


def minute(ms: Any, zone: Any = "UTC") -> int:
    """The minute of a time."""
    return _moment("minute", ms, zone).minute


def second(ms: Any, zone: Any = "UTC") -> int:
    """The second of a time."""
    return _moment("second", ms, zone).second


def weekday(ms: Any, zone: Any = "UTC") -> int:
    """The day of the week of a time, Monday 1 to Sunday 7 (ISO 8601)."""
    return _moment("weekday", ms, zone).isoweekday()


def check_format(format: Any) -> None:  # noqa: A002  # the users' word
    """Refuse a format that Python's strftime would not fill in alike everywhere."""
    if format is not None:
        _checked_format(format)


def check_zone(zone: Any) -> None:
    """Refuse a time zone that nobody knows."""
    _zone(zone)


def _moment(name: str, ms: Any, zone: Any) -> datetime:
    if type(ms) is not int and type(ms) is not float:
        raise refuse(name, "milliseconds since 1970", ms)
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).astimezone(_zone(zone))
    except (OverflowError, ValueError):
        raise _out_of_range(name) from None


def _out_of_range(name: str) -> EvaluationError:
    return EvaluationError(f"{name} knows the years 1 to 9999 only; is the time in milliseconds?")


class _ArgumentError(EvaluationError, ValueError):
    """Refused early, as a ValueError, when the argument is written out, and as a record's error when it is not."""


def _checked_format(format: Any) -> str:  # noqa: A002  # the users' word
    if (
        type(format) is not str
        or len(format) > TIME_FORMAT_CHARACTERS_MAX
        or not _FORMAT.fullmatch(format)
    ):
        raise _ArgumentError(
            f"a time's format is text of at most {TIME_FORMAT_CHARACTERS_MAX} characters with directives such as"
            " %Y-%m-%d %H:%M:%S (of %a %A %b %B %d %f %G %H %I %j %m %M %p %S %u %U %V %w %W %y %Y %z %Z %%)"
        )
    return format


@functools.lru_cache(maxsize=1024)
def _known_zone(zone: str) -> tzinfo:
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise _ArgumentError("a time zone is written like 'Europe/Berlin' or 'UTC'") from None


def _zone(zone: Any) -> tzinfo:
    if zone == "UTC":
        return UTC
    if type(zone) is not str:
        raise _ArgumentError("a time zone is written like 'Europe/Berlin' or 'UTC'")
    return _known_zone(zone)


_CHECKS: Final = {"format": check_format, "zone": check_zone}

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("parse_time", parse_time, "number", checked=_CHECKS),
    function("format_time", format_time, "text", checked=_CHECKS),
    *(
        function(part.__name__, part, "number", checked=_CHECKS)
        for part in (year, month, day, hour, minute, second, weekday)
    ),
)
