"""What one keyed stage keeps in one task: committed entries in the store, changes since then in memory."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any, Final

from headrace.runtime.contracts.store import Store
from headrace.runtime.state.codec import decode, encode, expiry_of
from headrace.runtime.state.layout import (
    ENTRY,
    MOMENT,
    TIMER,
    Changes,
    expand,
    expired,
    key_of_entry,
)

CACHE_MAX = 100_000
"""Decoded entries that a stage keeps in memory per task beside those of the open transaction."""
SWEEP_MAX = 2_000
"""Expired entries that one commit removes at most."""
MISSING: Final = object()


class StageState:
    """Entries by their key without the region (`layout`), as Python values. Belongs to the member's thread.

    What is put counts at once for this task, and for everybody else with the commit: `records` go to the changelog inside
    of the transaction, `changes` to the store after it. `abort` forgets them.

    Args:
        now_ms: the clock of expiries: what expires at or before it is gone.
    """

    def __init__(self, store: Store, region: bytes, now_ms: Callable[[], int]) -> None:
        self.store = store
        self.region = region
        self._now_ms = now_ms
        self._changed: dict[bytes, Any] = {}
        self._expiries: dict[bytes, int] = {}
        self._cache: dict[bytes, Any] = {}
        self._changed_of: dict[bytes, list[bytes]] = {}  # in order
        self._stale: list[bytes] = []
        self._records: list[tuple[bytes, bytes | None]] = []

    # ---- entries

    def get(self, entry: bytes) -> Any:
        """The value, or None where there is none or it has expired."""
        value = self._changed.get(entry, MISSING)
        if value is not MISSING:
            expires_ms = self._expiries.get(entry)
            return value if expires_ms is None or expires_ms > self._now_ms() else None
        value = self._cache.get(entry, MISSING)
        if value is not MISSING:
            return value
        return self._read(entry, self.store.get(self.region + entry))

    def _read(self, entry: bytes, data: bytes | None) -> Any:
        if data is None:
            return None
        if entry[:1] == TIMER:
            due_ms = self._cache[entry] = MOMENT.unpack(data)[0]
            return due_ms
        expires_ms = expiry_of(data)
        if expires_ms is None:
            value = self._cache[entry] = decode(data)
            return value
        return decode(data) if expires_ms > self._now_ms() else None

    def put(self, entry: bytes, value: Any, expires_ms: int | None = None) -> None:
        """Store a value; None deletes."""
        if entry not in self._changed and entry[:1] == ENTRY:
            insort(self._changed_of.setdefault(key_of_entry(entry), []), entry)
        self._changed[entry] = value
        if expires_ms is not None:
            self._expiries[entry] = expires_ms
        elif self._expiries:
            self._expiries.pop(entry, None)

    def note(self, entry: bytes, value: Any) -> None:
        """Store a value, unless it is there."""
        if self.get(entry) != value:
            self.put(entry, value)

    def range(self, key: bytes, start: bytes, end: bytes) -> Iterator[tuple[bytes, Any]]:
        """Entries of one key with `start` <= entry < `end`, in order, read as they are asked for.

        Changes made meanwhile may or may not be seen.
        """
        size = len(self.region)
        changed = self._changes_from(key, start, end)
        of_key = next(changed, None)
        for found, data in self.store.range(self.region + start, self.region + end):
            entry = found[size:]
            while of_key is not None and of_key < entry:
                yield from self._one(of_key)
                of_key = next(changed, None)
            if of_key == entry:
                yield from self._one(entry)
                of_key = next(changed, None)
                continue
            value = self._read(entry, data)
            if value is not None:
                yield entry, value
        while of_key is not None:
            yield from self._one(of_key)
            of_key = next(changed, None)

    def _changes_from(self, key: bytes, start: bytes, end: bytes) -> Iterator[bytes]:
        """The entries of one key that have changed, found one by one: there may be many, of which few are asked for."""
        of_key = self._changed_of.get(key, [])
        i = bisect_left(of_key, start)
        while i < len(of_key) and (entry := of_key[i]) < end:
            yield entry
            i = bisect_right(of_key, entry)

    def _one(self, entry: bytes) -> Iterator[tuple[bytes, Any]]:
        value = self.get(entry)
        if value is not None:
            yield entry, value

    def forget_index(self, index: bytes) -> None:
        """Delete a derived entry with the next commit; the changelog knows nothing of it."""
        self._stale.append(index)

    # ---- the commit

    def records(self, *, sweeps: bool = False) -> list[tuple[bytes, bytes | None]]:
        """The changelog records of everything changed since the last commit; asked for once per commit.

        With `sweeps` also tombstones of entries that have expired.
        """
        if sweeps:
            self._sweep()
        written: list[tuple[bytes, bytes | None]] = []
        for entry, value in self._changed.items():
            if value is None:
                if self.store.get(self.region + entry) is not None:
                    written.append((entry, None))
            elif entry[:1] == TIMER:
                written.append((entry, MOMENT.pack(value)))
            else:
                written.append((entry, encode(value, self._expiries.get(entry))))
        self._records = written
        return written

    def _sweep(self) -> None:
        for index, entry in list(expired(self.store, self.region, self._now_ms(), SWEEP_MAX)):
            self._stale.append(index)
            if entry is not None and entry not in self._changed:
                self.put(entry, None)

    def changes(self) -> Changes:
        """What the commit means for the store."""
        changes = Changes([], [self.region + index for index in self._stale])
        for key, value in self._records:
            expand(self.region, key, value, changes)
        return changes

    def committed(self) -> None:
        """The changes are in the store."""
        cache = self._cache
        for entry, value in self._changed.items():
            if value is None or entry in self._expiries:
                cache.pop(entry, None)
            else:
                cache[entry] = value
        if len(cache) > CACHE_MAX:
            for entry in list(cache)[: len(cache) // 2]:
                del cache[entry]
        self._forget()

    def abort(self) -> None:
        """Everything is as it was at the last commit."""
        self._forget()

    def _forget(self) -> None:
        self._changed.clear()
        self._changed_of.clear()
        self._expiries.clear()
        self._stale.clear()
        self._records = []

    @property
    def changed_timers(self) -> Iterator[tuple[bytes, int]]:
        """Timers set since the last commit."""
        for entry, due in self._changed.items():
            if entry[:1] == TIMER and due is not None:
                yield entry, due
