"""Places in PostgreSQL's log, and transactions that a view can see."""

from typing import NamedTuple

_HALF = 1 << 31
_WORD = 1 << 32


def parse_lsn(text: str) -> int:
    """`16/B374D848` as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """What `parse_lsn` reads."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


class View(NamedTuple):
    """A snapshot as `pg_current_snapshot()` tells it: what is below `low`, or below `high` and not running, is visible."""

    low: int
    high: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "View":
        low, high, running = text.split(":")
        return cls(int(low), int(high), frozenset(int(one) for one in running.split(",") if one))

    def sees(self, transaction: int) -> bool:
        """Whether a transaction, by its 32-bit number, is visible if it was committed."""
        full = (self.high & ~(_WORD - 1)) | transaction
        if full > self.high + _HALF:
            full -= _WORD
        return full < self.low or (full < self.high and full not in self.running)
