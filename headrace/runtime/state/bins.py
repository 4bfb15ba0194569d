"""The accumulators of a fold in one task: per bin of event time and key, committed ones in the store, changed ones in memory."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from typing import Any, TypeVar

from headrace.runtime.contracts.store import Store
from headrace.runtime.state.codec import decode, encode, expiry_of
from headrace.runtime.state.layout import (
    ACCUMULATOR,
    MOMENT,
    Changes,
    accumulator_key,
    end_of,
    expand,
    expired,
)

CACHED_MAX = 200_000
"""Accumulators that a stage keeps in memory per task beside those of the open transaction."""
SWEEP_MAX = 2_000
Accumulator = list[Any]


class Bins:
    """Accumulators by bin and key.

    `live` holds what changed since the last commit; generated code looks into it and puts into it. What was committed is in the
    changelog; it goes to the store some time later, in one batch with the checkpoint (`flush`), so that a window that is
    soon over costs the store nothing. Until then it waits in `_unwritten`. `_cached` holds committed accumulators, decoded.
    A bin that is `_resident` was begun while this process looked on and is in the cache as a whole.

    Without bins there is one, bin 0, whose changes are in `without_bins`, always the same dictionary. There keys may be forgotten
    after `ttl_ms` without a record: `_ends` tells when for those in `without_bins`, `_cached_ends` for those in the cache.
    """

    def __init__(
        self,
        store: Store,
        region: bytes,
        initial: Callable[[], Accumulator],
        *,
        now_ms: Callable[[], int],
        ttl_ms: int | None,
        has_bins: bool,
    ) -> None:
        self.without_bins: dict[bytes, Accumulator] = {}
        self.live: dict[int, dict[bytes, Accumulator]] = {}
        if not has_bins:
            self.live[0] = self.without_bins
        self._store = store
        self._region = region
        self._initial = initial
        self._now_ms = now_ms
        self._ttl_ms = ttl_ms
        self.copy_of: Callable[[Accumulator], Accumulator]
        is_nested = any(isinstance(slot, list | dict) for slot in initial())
        self.copy_of = _copy_nested if is_nested else list
        self._cached: dict[int, dict[bytes, Accumulator]] = {}
        self._cached_count = 0
        self._resident: set[int] = set()
        self._in_store = self._find_stored()
        self._committed_bins = set(self._in_store)
        self._unwritten: dict[int, dict[bytes, bytes]] = {}
        self._encoded: dict[int, dict[bytes, bytes]] = {}
        self._deleted: list[bytes] = []
        self._tombstones: list[tuple[bytes, bytes | None]] = []
        self._dropped: dict[int, list[bytes] | None] = {}
        self._stale: list[bytes] = []
        self._swept_ms = self._swept_before_ms = 0
        self._ends: dict[bytes, int] = {}
        self._cached_ends: dict[bytes, int] = {}

    def _find_stored(self) -> set[int]:
        """The bins of the store, found by stepping from each one to the next."""
        prefix = self._region + ACCUMULATOR
        found = set[int]()
        start = prefix
        while True:
            first = next(iter(self._store.range(start, end_of(prefix))), None)
            if first is None:
                return found
            bin_ms = MOMENT.unpack_from(first[0], len(prefix))[0]
            found.add(bin_ms)
            start = prefix + MOMENT.pack(bin_ms + 1)

    @property
    def known(self) -> Iterable[int]:
        """The bins that hold anything."""
        gone = {start for start, keys in self._dropped.items() if keys is not None}
        return (self._committed_bins - gone).union(
            start for start, changed in self.live.items() if changed
        )

    def load(self, start: int, key: bytes) -> Accumulator:
        """An accumulator to change: a copy of the committed one, or a new one. The caller puts it into `live`."""
        found = self.committed_one(start, key)
        return self._initial() if found is None else self.copy_of(found)

    def recall(self, key: bytes) -> Accumulator:
        """As `load`, where keys are forgotten: one that is to be forgotten by now begins anew. For `keep`."""
        changed = self.without_bins.get(key)
        if changed is None:
            return self.load(0, key)
        return changed if self._ends[key] > self._now_ms() else self._initial()

    def keep(self, key: bytes, accumulator: Accumulator, timestamp_ms: int) -> None:
        """Put an accumulator that has one more record into `without_bins`, where keys are forgotten."""
        assert self._ttl_ms is not None
        self.without_bins[key] = accumulator
        self._ends[key] = max(timestamp_ms, self._now_ms()) + self._ttl_ms

    def committed_one(self, start: int, key: bytes) -> Accumulator | None:
        """The accumulator as it was committed; not to be changed."""
        cached = self._cached.get(start)
        if cached is not None:
            found = cached.get(key)
            if found is not None:
                is_over = self._ttl_ms is not None and self._cached_ends[key] <= self._now_ms()
                return None if is_over else found
        if start not in self._committed_bins or start in self._resident:
            return None
        waiting = self._unwritten.get(start)
        data = waiting.get(key) if waiting else None
        if data is None and start in self._in_store:
            data = self._store.get(self._region + accumulator_key(start, key))
        if data is None or self._is_expired(data):
            return None
        return decode(data)  # type: ignore[no-any-return] # accumulators are lists

    def current(self, start: int, key: bytes) -> Accumulator | None:
        """The accumulator with its uncommitted changes; not to be changed."""
        changed = self.live.get(start)
        found = changed.get(key) if changed else None
        return self.committed_one(start, key) if found is None else found

    def walk(self, start: int, after: bytes | None) -> Iterator[tuple[bytes, Accumulator]]:
        """The current accumulators of a bin in the order of their keys, from behind `after` on."""
        live = self.live.get(start, {})
        keys = sorted(key for key in live if after is None or key > after)
        changed = ((key, live[key]) for key in keys)
        if start not in self._committed_bins:
            return changed
        committed = self._committed(start, after)
        both = merge(
            changed, committed, key=lambda pair: pair[0]
        )  # of equal keys, the changed one first
        return _first_of_each(both)

    def _committed(self, start: int, after: bytes | None) -> Iterator[tuple[bytes, Accumulator]]:
        if start in self._resident:
            cached = self._cached[start]
            for key in sorted(key for key in cached if after is None or key > after):
                yield key, cached[key]
            return
        both = merge(self._waiting(start, after), self._read(start, after), key=_key_of)
        for key, data in _first_of_each(both):
            if not self._is_expired(data):
                yield key, decode(data)

    def _waiting(self, start: int, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        waiting = self._unwritten.get(start, {})
        for key in sorted(key for key in waiting if after is None or key > after):
            yield key, waiting[key]

    def _read(self, start: int, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        if start not in self._in_store:
            return
        prefix = self._region + accumulator_key(start, b"")
        begin = prefix if after is None else prefix + after + b"\0"
        for found, data in self._store.range(begin, end_of(prefix)):
            yield found[len(prefix) :], data

    def _is_expired(self, data: bytes) -> bool:
        expires_ms = expiry_of(data) if self._ttl_ms is not None else None
        return expires_ms is not None and expires_ms <= self._now_ms()

    # ---- the end of a bin

    def drop(self, start: int, budget: int) -> int:
        """Delete at most `budget` accumulators of a bin with the next commit; what was used of the budget.

        The bin is gone when less than the budget was used.
        """
        self.live.pop(start, None)
        if start in self._dropped:
            return budget if self._dropped[start] is None else 0
        if start not in self._committed_bins:
            return 0
        cached = self._uncache(start)
        if start in self._resident:
            self._resident.discard(start)
            self._dropped[start] = list(cached)
            return len(cached)
        waiting = self._unwritten.get(start, {})
        stored = (key for key, _ in self._read(start, None) if key not in waiting)
        keys = list(islice(chain(list(waiting), stored), budget))
        if len(keys) < budget:
            self._dropped[start] = keys
            return len(keys)
        self._dropped[start] = None
        for key in keys:
            entry = accumulator_key(start, key)
            self._tombstones.append((entry, None))
            self._deleted.append(entry)
        return budget

    # ---- the commit

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """The changelog records of everything changed since the last commit; asked for once per commit."""
        records = self._tombstones
        for start, keys in self._dropped.items():
            if keys is not None:
                prefix = accumulator_key(start, b"")
                records += [(prefix + key, None) for key in keys]
        if self._ttl_ms is not None:
            self._sweep(records)
        ends = self._ends
        for start, changed in self.live.items():
            prefix = accumulator_key(start, b"")
            encoded = {key: encode(value, ends.get(key)) for key, value in changed.items()}
            self._encoded[start] = encoded
            records += [(prefix + key, data) for key, data in encoded.items()]
        return records

    def _sweep(self, records: list[tuple[bytes, bytes | None]]) -> None:
        """Tombstones of what has expired; what waits for the store is looked at when it is there."""
        now_ms = self._now_ms()
        for index, entry in list(
            expired(self._store, self._region, now_ms, SWEEP_MAX, self._swept_ms)
        ):
            self._stale.append(index)
            self._swept_ms = max(self._swept_ms, MOMENT.unpack_from(index, 1)[0])
            if entry is None:
                continue
            start, key = MOMENT.unpack_from(entry, 1)[0], entry[1 + MOMENT.size :]
            if key in self.live.get(start, {}) or key in self._unwritten.get(start, {}):
                continue
            records.append((entry, None))
            self._deleted.append(entry)
            if start in self._cached and self._cached[start].pop(key, None) is not None:
                self._cached_count -= 1
                self._cached_ends.pop(key, None)

    def changes(self) -> Changes:
        """What the commit deletes from the store at once."""
        gone = [self._region + key for key in (*self._stale, *self._deleted)]
        return Changes([], gone)

    def committed(self) -> None:
        """The changelog has the changes."""
        for entry in self._deleted:
            start, key = MOMENT.unpack_from(entry, 1)[0], entry[1 + MOMENT.size :]
            if start in self._unwritten:
                self._unwritten[start].pop(key, None)
        for start, keys in self._dropped.items():
            if keys is not None:
                self._committed_bins.discard(start)
                self._unwritten.pop(start, None)
        for start, encoded in self._encoded.items():
            if not encoded:
                continue
            if start not in self._committed_bins:
                self._committed_bins.add(start)
                self._resident.add(start)
                self._cached[start] = {}
            self._unwritten.setdefault(start, {}).update(encoded)
            cached = self._cached.setdefault(start, {})
            before = len(cached)
            cached.update(self.live[start])
            self._cached_count += len(cached) - before
        self._cached_ends.update(self._ends)
        self._swept_before_ms = self._swept_ms
        if self._cached_count > CACHED_MAX:
            self._shrink()
        self._forget()

    def flush(self, changes: Changes) -> list[tuple[bytes, bytes]]:
        """Hand over what waits for the store; returns ranges to clear before. Only between a commit and the next record."""
        region = self._region
        for start, waiting in self._unwritten.items():
            prefix = accumulator_key(start, b"")
            self._in_store.add(start)
            if self._ttl_ms is None:
                prefix = region + prefix
                changes.puts.extend([(prefix + key, data) for key, data in waiting.items()])
                continue
            for key, data in waiting.items():
                expand(region, prefix + key, data, changes)
        self._unwritten = {}
        gone = self._in_store - self._committed_bins
        self._in_store -= gone
        prefixes = [region + accumulator_key(start, b"") for start in gone]
        return [(prefix, end_of(prefix)) for prefix in prefixes]

    @property
    def waiting(self) -> int:
        """How many accumulators wait for the store."""
        return sum(map(len, self._unwritten.values()))

    def _shrink(self) -> None:
        """Forget the cache of the oldest bins, or half of the only one."""
        for start in sorted(self._cached):
            if self._cached_count <= CACHED_MAX // 2:
                return
            self._resident.discard(start)
            if len(self._cached) > 1:
                self._uncache(start)
                continue
            cached = self._cached[start]
            for key in list(cached)[: len(cached) // 2]:
                del cached[key]
                self._cached_ends.pop(key, None)
            self._cached_count = len(cached)

    def _uncache(self, start: int) -> dict[bytes, Accumulator]:
        cached = self._cached.pop(start, {})
        self._cached_count -= len(cached)
        return cached

    def abort(self) -> None:
        """Everything is as it was at the last commit."""
        for start in self._dropped:  # their cache is gone, their entries are not
            self._resident.discard(start)
        self._swept_ms = self._swept_before_ms
        self._forget()

    def _forget(self) -> None:
        if 0 in self.live and self.live[0] is self.without_bins:
            self.without_bins.clear()
        else:
            self.live.clear()
        self._ends.clear()
        self._dropped = {}
        self._encoded = {}
        self._stale = []
        self._deleted = []
        self._tombstones = []


Value = TypeVar("Value")


def _copy_nested(accumulator: Accumulator) -> Accumulator:
    """A copy whose lists and dictionaries are copies, too; what is in them is never changed."""
    return [
        slot.copy() if slot.__class__ is list or slot.__class__ is dict else slot
        for slot in accumulator
    ]


def _key_of(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


def _first_of_each(pairs: Iterable[tuple[bytes, Value]]) -> Iterator[tuple[bytes, Value]]:
    before: bytes | None = None
    for key, value in pairs:
        if key != before:
            yield key, value
        before = key
