"""Positions of PostgreSQL's log that no row is lost behind.

Debezium's position is that of an entry of the log. COPY puts many rows into one entry, and a connector that begins behind an
entry never sees what was left of it. So the position that is kept is the one in front of the last entry of a batch, together
with how many records of that entry were delivered; whoever begins there skips so many. Guarded by
test_an_engine_killed_within_a_copy_goes_on_at_the_row_where_it_was.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from headrace.connectors.cdc.debezium.frames import Again

EntryOf = Callable[[Any], int | None]
"""The entry of a record; None where its position is exact: within a snapshot, and for other databases."""
IsCounted = Callable[[Any], bool]
"""Whether a record comes again when the log is read again, which heartbeats do not."""


class Taken(NamedTuple):
    """What is to be done with a batch: what is delivered, and the record whose position is kept (None: that which was)."""

    fresh: Sequence[Any]
    safe: Any
    again: Again | None


class Entries:
    """Looks at the batches of one run, in their order.

    Args:
        again: what was delivered behind the position that the run begins with.
        is_anew: there is no position to begin with. Then the end of the first batch is one, as beginning anew would take the
            snapshot again.
    """

    def __init__(
        self, entry_of: EntryOf, is_counted: IsCounted, again: Again | None, *, is_anew: bool
    ) -> None:
        self._entry_of = entry_of
        self._is_counted = is_counted
        self._skipped = again
        self._is_anew = is_anew
        self._last: Any = None
        self._entry: int | None = None
        self._count = 0

    def take(self, records: Sequence[Any]) -> Taken:
        """What to do with the next batch, which holds one record at least."""
        fresh = self._without_skipped(records)
        entry = self._entry_of(records[-1])
        begin = len(records) - 1
        while entry is not None and begin and self._entry_of(records[begin - 1]) == entry:
            begin -= 1
        is_same = not begin and entry is not None and entry == self._entry
        safe = records[begin - 1] if begin else None if is_same else self._last
        self._count = sum(map(self._is_counted, records[begin:])) + (self._count if is_same else 0)
        if entry is None or (safe is None and self._is_anew):
            safe, self._count = records[-1], 0
        self._last, self._entry, self._is_anew = records[-1], entry, False
        again = Again(entry, self._count) if entry is not None and self._count else None
        return Taken(fresh, safe, again)

    def _without_skipped(self, records: Sequence[Any]) -> Sequence[Any]:
        if self._skipped is None:
            return records
        fresh = []
        entry, left = self._skipped
        for record in records:
            at = self._entry_of(record)
            if left and at == entry and self._is_counted(record):
                left -= 1
                continue
            if at is not None and at > entry:
                left = 0
            fresh.append(record)
        self._skipped = Again(entry, left) if left else None
        return fresh
