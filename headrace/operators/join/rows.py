"""Reading a table: the rows of a key, and which of them a record sees. `join` and `hydrate` both look up through these."""

import itertools
from typing import Any, Final, Protocol

from headrace.operators.join.names import (
    backwards,
    key_bytes,
    time_of_backwards,
)
from headrace.runtime.contracts.action import KeyedContext
from headrace.runtime.expression.computation import Computation
from headrace.runtime.task.records import decode_key, encode_key

FORGOTTEN: Final = object()
"""What is found for a record older than the history: the row of its time may be gone."""


class Rows(Protocol):
    """The rows of one table, as the state of a task has them."""

    def update(self, context: KeyedContext, row: Any) -> None:
        """Take in a change of this key's row; null deletes it."""

    def find(self, context: KeyedContext, event: Any, time_ms: int, now_ms: int) -> Any:
        """The row for a record of this key, or None, or `FORGOTTEN`; `now_ms` is the watermark."""

    def trim(self, context: KeyedContext, now_ms: int) -> None:
        """The timer `TRIM` is due: forget what no record can ask for any more."""


TRIM: Final = "trim"


class CurrentRows:
    """The row as it is now: the last change that was read counts, whatever its event time, as in Kafka Streams."""

    _name: Final = "row"

    def update(self, context: KeyedContext, row: Any) -> None:
        if row is None:
            context.delete(self._name)
        else:
            context.put(self._name, row)

    def find(self, context: KeyedContext, event: Any, time_ms: int, now_ms: int) -> Any:  # noqa: ARG002 - the row does not depend on them
        return context.get(self._name)

    def trim(self, context: KeyedContext, now_ms: int) -> None:
        """One row is all there is."""


class VersionedRows:
    """The row as it was at the record's event time.

    A version is valid from its own event time until that of the next one. Versions are kept until they have been replaced
    for longer than the history; the latest is kept however old it is, as rows of a compacted topic are. Names begin with
    the time counted backwards, so that the version of a time is the first name from that time on; values are `[row]`, where the
    row of a deletion is null.
    """

    _versions: Final = "v"
    _end: Final = "w"

    def __init__(self, history_ms: int) -> None:
        self._history_ms = history_ms

    def update(self, context: KeyedContext, row: Any) -> None:
        """Add a version; one that was replaced before the history begins is late."""
        time_ms = context.timestamp_ms
        horizon = context.watermark_ms - self._history_ms
        if time_ms < horizon:
            valid = self._first(context, horizon)
            if valid is not None and time_of_backwards(valid[0]) > time_ms:
                context.late(row)
                return
        context.put(backwards(self._versions, time_ms), [row])
        self.trim(context, context.watermark_ms)

    def find(self, context: KeyedContext, event: Any, time_ms: int, now_ms: int) -> Any:  # noqa: ARG002 - found by key and time
        if time_ms < now_ms - self._history_ms:
            return FORGOTTEN
        version = self._first(context, time_ms)
        return None if version is None else version[1][0]

    def trim(self, context: KeyedContext, now_ms: int) -> None:
        horizon = now_ms - self._history_ms
        if horizon >= 0:
            self._forget(context, horizon)
        kept = list(itertools.islice(context.items(self._versions, self._end), 2))
        if len(kept) == 2 or (kept and kept[0][1][0] is None):
            # By then only the latest version is left, or none where that is a deletion. Updates trim in between.
            context.set_timer(TRIM, time_of_backwards(kept[0][0]) + self._history_ms)

    def _forget(self, context: KeyedContext, horizon: int) -> None:
        names = context.items(backwards(self._versions, horizon), self._end)
        replaced = list(names)
        if replaced and replaced[0][1][0] is not None:
            del replaced[0]
        for name, _ in replaced:
            context.delete(name)

    def _first(self, context: KeyedContext, time_ms: int) -> tuple[str, Any] | None:
        """The version that is valid at a time."""
        if time_ms < 0:
            return None
        return next(iter(context.items(backwards(self._versions, time_ms), self._end)), None)


class GlobalRows:
    """A table of which every worker holds all rows, kept by the engine; a key that is null finds none."""

    def __init__(self, key: Computation | None) -> None:
        self._key = key

    def update(self, context: KeyedContext, row: Any) -> None:
        """The engine keeps the rows; no record of the table comes to the stage."""

    def find(self, context: KeyedContext, event: Any, time_ms: int, now_ms: int) -> Any:  # noqa: ARG002 - there is one row per key
        if self._key is None:
            return context.lookup(context.key)
        key = encode_key(self._key(event, decode_key(context.key), time_ms))
        return None if key is None else context.lookup(key_bytes(key))

    def trim(self, context: KeyedContext, now_ms: int) -> None:
        """The engine keeps the rows."""
