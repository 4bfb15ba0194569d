"""How joins name what they keep in the state of a key, so that it lies in the order of its event times."""

from typing import Final

TIME_MAX: Final = (1 << 48) - 1
"""More than any event time that headrace accepts, in ms since 1970 UTC."""


def moment(prefix: str, time_ms: int) -> str:
    """A name; those of one prefix sort by their time."""
    return f"{prefix}{min(max(time_ms, 0), TIME_MAX):012x}"


def numbered(prefix: str, time_ms: int, number: int) -> str:
    """A name; those of one prefix sort by their time, and those of one time by their number."""
    return f"{moment(prefix, time_ms)}{number:012x}"


def backwards(prefix: str, time_ms: int) -> str:
    """A name; those of one prefix sort by their time, the latest first."""
    return moment(prefix, TIME_MAX - max(time_ms, 0))


def time_of(name: str) -> int:
    """The time in a name that `moment` or `numbered` made with a prefix of one character."""
    return int(name[1:13], 16)


def time_of_backwards(name: str) -> int:
    """The time in a name that `backwards` made with a prefix of one character."""
    return TIME_MAX - int(name[1:13], 16)


def key_bytes(key: str | bytes) -> bytes:
    """A key as Kafka has it."""
    return key.encode() if isinstance(key, str) else key
