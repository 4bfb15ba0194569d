"""Reads what one stage has committed in one task: straight from the store, on any thread."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Any

from headrace.runtime.contracts.action import Fold, KeyedAction
from headrace.runtime.contracts.store import Store
from headrace.runtime.state.codec import decode, expiry_of
from headrace.runtime.state.layout import (
    ACCUMULATOR,
    ENTRY,
    LENGTH,
    MOMENT,
    NUMBER,
    accumulator_key,
    end_of,
    entries_of,
    entry_key,
    region_of,
    split_entry,
)
from headrace.runtime.task.stored_stage import MEMORY

BINS_MAX = 20_000
"""Bins that one look at a key takes in at most: twice as many as a window can have."""
BINS_SIDE_BY_SIDE_MAX = 512
"""Bins that a walk over keys reads at once, each with a cursor of its own."""
LENGTHS_MAX = 512
"""Different lengths of keys that a walk over keys takes in, each with a cursor of its own."""
ALL_TIME = (-(2**62), 2**62)


class TooWideError(Exception):
    """A walk over keys would have to read too many places at once; says what to narrow."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a key.

    `times` are the first start of windows and the first one not any more; `first` is the first name of entries; `limit` is how
    many windows or entries there may be. `is_over` tells whether it has taken too long.
    """

    times: tuple[int, int] = ALL_TIME
    first: str = ""
    limit: int = 1_000
    is_over: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Found:
    """What is stored under a key; `following` is the start or the name to go on from, where there is more."""

    entries: Any
    following: int | str | None = None


class Stored:
    """The state of one stage in one task, as of its last commit (accumulators: up to a second before).

    Nothing here changes the store. An expired entry that is still there is left out, and so are windows that are closed, whose
    bins may be gone in part.
    """

    def __init__(
        self,
        store: Store,
        changelog: str,
        partition: int,
        *,
        action: KeyedAction,
        fold: Fold | None,
        now_ms: int,
    ) -> None:
        number = store.get(NUMBER + changelog.encode())
        self._store = store
        self._region = None if number is None else region_of(int.from_bytes(number), partition)
        self._action = action
        self._fold = fold
        memory = self._memory()
        self.watermark_ms: int = memory.get("watermark", -1)
        self._closed_ms: int = memory.get("closed", ALL_TIME[0])
        # The lifetime of an accumulator is in event time, whatever the action says of its entries.
        is_wall = fold is None and action.ttl_kind == "wall"
        self._now_ms = now_ms if is_wall else self.watermark_ms

    def _memory(self) -> Mapping[str, Any]:
        if self._region is None:
            return {}
        found = self._store.get(self._region + MEMORY)
        return {} if found is None else decode(found) or {}

    # ---- one key

    def get(self, key: bytes, wanted: Wanted) -> Found | None:
        """What is stored under a key, as people see it; None when there is nothing."""
        if self._region is None:
            return None
        if self._fold is None:
            return self._entries(key, wanted)
        if not self._fold.bin_ms:
            return self._whole(self._store.get(self._region + accumulator_key(0, key)))
        starts = list(self._starts(wanted.times, BINS_MAX))
        data = self._store.get_many(
            [self._region + accumulator_key(start, key) for start in starts]
        )
        bins = {start: one for start, one in zip(starts, data, strict=True) if one is not None}
        until = ALL_TIME[1]
        if len(starts) == BINS_MAX:  # windows that may need a later bin wait for the next look
            until = starts[-1] + self._fold.bin_ms - self._width_ms + 1
        return self._windows(bins, wanted, until)

    def _entries(self, key: bytes, wanted: Wanted) -> Found | None:
        assert self._region is not None
        start = self._region + entry_key(key, wanted.first)
        stored = self._store.range(start, end_of(self._region + entries_of(key)))
        size = len(self._region)
        return self._shown(((split_entry(found[size:])[1], data) for found, data in stored), wanted)

    def _shown(self, entries: Iterable[tuple[str, bytes]], wanted: Wanted) -> Found | None:
        shown: dict[str, Any] = {}
        is_there = False
        for name, data in entries:
            if self._is_expired(data):
                continue
            if is_there and (len(shown) >= wanted.limit or wanted.is_over()):
                return Found(shown, name)
            is_there = True
            value = self._action.shown(name, decode(data))
            if value is not None:
                shown[name] = value
        return Found(shown) if is_there else None

    def _whole(self, data: bytes | None) -> Found | None:
        if data is None or self._is_expired(data):
            return None
        return Found({"value": self._action.shown("", decode(data))})

    def _is_expired(self, data: bytes) -> bool:
        expires_ms = expiry_of(data)
        return expires_ms is not None and expires_ms <= self._now_ms

    # ---- windows

    @property
    def _width_ms(self) -> int:
        assert self._fold is not None
        return self._fold.bin_ms * self._fold.bins

    def _starts(self, times: tuple[int, int], count: int) -> Iterator[int]:
        """The bins that windows of these starts are made of, found by stepping from each one to the next."""
        assert self._region is not None
        assert self._fold is not None
        prefix = self._region + ACCUMULATOR
        begin = max(times[0], 0)
        until = times[1] + self._width_ms - self._fold.bin_ms
        end = end_of(prefix) if until > 2**62 else prefix + MOMENT.pack(max(until, 0))
        for _ in range(count):
            first = next(iter(self._store.range(prefix + MOMENT.pack(begin), end)), None)
            if first is None:
                return
            start = MOMENT.unpack_from(first[0], len(prefix))[0]
            yield start
            begin = start + 1

    def _windows(
        self, bins: Mapping[int, bytes], wanted: Wanted, until: int = ALL_TIME[1]
    ) -> Found | None:
        """The windows that bins of one key make up, in the order of their starts."""
        fold = self._fold
        assert fold is not None
        width = self._width_ms
        first, end = wanted.times
        starts = sorted(
            {
                start - number * fold.bin_ms
                for start in bins
                for number in range(fold.bins)
                if start - number * fold.bin_ms + width > self._closed_ms
                and first <= start - number * fold.bin_ms < min(end, until)
            }
        )
        decoded = {start: decode(data) for start, data in bins.items()}
        shown: list[dict[str, Any]] = []
        following = None if until >= end else until
        for start in starts:
            if len(shown) >= wanted.limit or (shown and wanted.is_over()):
                following = start
                break
            parts = [
                decoded[one] for one in range(start, start + width, fold.bin_ms) if one in decoded
            ]
            window = {"start": start, "end": start + width}
            shown.append(window | self._action.shown("", self._merged(fold, parts)))
        return Found(shown, following) if shown or following is not None else None

    def _merged(self, fold: Fold, parts: Sequence[list[Any]]) -> list[Any]:
        if len(parts) == 1:
            return parts[0]
        total = deepcopy(parts[0])
        for part in parts[1:]:
            fold.merge(total, part)
        return total

    # ---- many keys

    def walk(
        self, start: bytes, end: bytes | None, wanted: Wanted
    ) -> Iterator[tuple[bytes, Found | None]]:
        """What is stored under the keys with `start` <= key < `end`, in the order of their bytes; None where all has expired.

        Raises:
            TooWideError: it would have to read too many places at once.
        """
        if self._region is None:
            return
        if self._fold is None:
            for key, group in groupby(self._entries_of_keys(start, end), key=lambda one: one[0]):
                yield key, self._shown(((name, data) for _, name, data in group), wanted)
            return
        for key, of_key in groupby(self._accumulators(start, end, wanted), key=lambda one: one[0]):
            bins = {bin_start: data for _, bin_start, data in of_key}
            yield (
                key,
                self._windows(bins, wanted) if self._fold.bin_ms else self._whole(bins[0]),
            )

    def _accumulators(
        self, start: bytes, end: bytes | None, wanted: Wanted
    ) -> Iterator[tuple[bytes, int, bytes]]:
        """Key, bin and accumulator, in the order of keys, and of bins for each."""
        assert self._region is not None
        assert self._fold is not None
        starts = [0]
        if self._fold.bin_ms:
            starts = list(self._starts(wanted.times, BINS_SIDE_BY_SIDE_MAX + 1))
        if len(starts) > BINS_SIDE_BY_SIDE_MAX:
            raise TooWideError(
                f"there are windows of more than {BINS_SIDE_BY_SIDE_MAX} different times; name some with from and to"
            )
        return merge(*(self._bin(one, start, end) for one in starts), key=lambda one: one[:2])

    def _bin(
        self, start_ms: int, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, int, bytes]]:
        assert self._region is not None
        prefix = self._region + accumulator_key(start_ms, b"")
        last = end_of(prefix) if end is None else prefix + end
        for found, data in self._store.range(prefix + start, last):
            yield found[len(prefix) :], start_ms, data

    def _entries_of_keys(
        self, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, str, bytes]]:
        """Key, name and entry in the order of keys. The store has short keys before long ones, so each length is read apart."""
        lengths = list(self._lengths())
        if len(lengths) > LENGTHS_MAX:
            raise TooWideError(
                f"there are keys of more than {LENGTHS_MAX} different lengths; ask for single keys"
            )
        return merge(
            *(self._of_length(length, start, end) for length in lengths), key=lambda one: one[0]
        )

    def _lengths(self) -> Iterator[int]:
        assert self._region is not None
        prefix = self._region + ENTRY
        length = 0
        for _ in range(LENGTHS_MAX + 1):
            begin = prefix + LENGTH.pack(length)
            first = next(iter(self._store.range(begin, end_of(prefix))), None)
            if first is None:
                return
            found = LENGTH.unpack_from(first[0], len(prefix))[0]
            yield found
            length = found + 1

    def _of_length(
        self, length: int, start: bytes, end: bytes | None
    ) -> Iterator[tuple[bytes, str, bytes]]:
        assert self._region is not None
        prefix = self._region + ENTRY + LENGTH.pack(length)
        size = len(self._region)
        # Cut to their length: a name may follow the key, and must not be compared with what is longer.
        begin = prefix + start[:length]
        for found, data in self._store.range(begin, end_of(prefix)):
            key, name = split_entry(found[size:])
            if key < start:
                continue
            if end is not None and key >= end:
                return
            yield key, name, data
