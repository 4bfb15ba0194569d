"""Decimals and times as binary formats count them, and as text: exact both ways."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(1970, 1, 1)
NANOSECONDS: Final = 1_000_000_000


def decimal_of(unscaled: bytes, scale: int) -> Decimal:
    """The number whose unscaled value is big-endian in two's complement."""
    sign, digits, _ = Decimal(int.from_bytes(unscaled, signed=True)).as_tuple()
    return Decimal((sign, digits, -scale))  # exact, whatever the precision of the context


def decimal_text(number: Decimal) -> str:
    """Without an exponent."""
    return format(number, "f")


def unscaled_of(number: Decimal, scale: int) -> int:
    """The unscaled value of a number.

    Raises:
        ValueError: it has more decimal places than the scale, or is no finite number.
    """
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("a decimal is a finite number")  # noqa: TRY004 # its value is wrong, not its type
    shift = exponent + scale
    value = int("".join(map(str, digits)))
    if shift < 0:
        value, rest = divmod(value, int(10**-shift))
        if rest:
            raise ValueError(f"a decimal has at most {scale} decimal places here")
    else:
        value *= int(10**shift)
    return -value if sign else value


def day_text(days: int) -> str:
    """The day so many days after 1970-01-01."""
    return (EPOCH_DAY + timedelta(days=days)).isoformat()


def days_of(text: str) -> int:
    """Days since 1970-01-01."""
    return (date.fromisoformat(text) - EPOCH_DAY).days


def moment_text(count: int, per_second: int) -> str:
    """The moment that lies `count` units after 1970 UTC."""
    seconds, rest = divmod(count, per_second)
    moment = EPOCH + timedelta(seconds=seconds)
    return f"{moment.isoformat().removesuffix('+00:00')}{_fraction(rest, per_second)}Z"


def moment_of(text: str, per_second: int) -> int:
    """Units since 1970 of a moment in ISO 8601; what is finer than a unit, or than a microsecond, is left out."""
    moment = datetime.fromisoformat(text)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds * per_second // 1_000_000


def time_text(count: int, per_second: int) -> str:
    """The time of day `count` units after midnight."""
    seconds, rest = divmod(count, per_second)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}{_fraction(rest, per_second)}"


def _fraction(rest: int, per_second: int) -> str:
    if not rest:
        return ""
    width = len(str(per_second)) - 1
    return f".{rest:0{width}d}".rstrip("0")
