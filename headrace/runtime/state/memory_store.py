"""A store in this process's memory, for tests, dry runs and state that may be restored at every start."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from threading import Lock

from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import ClosedError
from headrace.runtime.state.sorted_keys import SortedKeys

_key_of = itemgetter(0)
# Beside the bytes of a key and a value: two bytes objects, the places in the dict and in the order.
_ENTRY_BYTES = 180
_SAMPLE = 1_000
# Where more than this part of all keys has changed, all are put in order anew; that also bounds what is noted.
_CHANGED_MIN = 10_000
_CHANGED_PART = 2


class MemoryStore:
    """A dict, and the order of its keys, which is made when a range is first asked for and mended at the next.

    Reads take no lock: one `dict.update` makes a write seen as a whole, with None for what it deletes.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes | None] | None = {}
        # Held by writes and by whoever needs the order.
        self._lock = Lock()
        self._order: SortedKeys | None = None
        self._changed: list[bytes] = []
        # By identity; a range that is left may go at any moment, so this is changed without the lock, in single steps.
        self._ranges: dict[int, dict[bytes, bytes | None]] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._open_values().get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self._open_values().get, keys))

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._open_values()
        return self._entries(start, end)

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        deletes: Iterable[bytes] = (),
        cleared: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        put = list(puts)
        gone = list(deletes)
        with self._lock:
            values = self._open_values()
            for start, end in cleared:
                for keys in self._ordered(values).range(start, end):
                    gone += keys
            changes: list[tuple[bytes, bytes | None]] = [(key, None) for key in gone]
            changes += put
            if self._ranges:
                self._keep_for_ranges(values, changes)
            # Here, in one step of the interpreter, readers see all of it.
            values.update(changes)
            for key in gone:
                if values.get(key) is None:
                    values.pop(key, None)
            if self._order is not None:
                self._note(len(values), changes)

    def flush(self) -> None:
        self._open_values()

    @property
    def size_bytes(self) -> int:
        with self._lock:
            values = self._open_values()
            if not values:
                return 0
            sample = [
                len(key) + len(value or b"") for key, value in islice(values.items(), _SAMPLE)
            ]
            return len(values) * (sum(sample) // len(sample) + _ENTRY_BYTES)

    def close(self) -> None:
        with self._lock:
            self._values = None
            self._order = None
            self._changed = []

    def _entries(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """A range's entries: those of now, or for keys that a write has changed since then, those of before the write."""
        before: dict[bytes, bytes | None] = {}
        with self._lock:
            blocks = self._ordered(self._open_values()).range(start, end)
            self._ranges[id(before)] = before
        try:
            for block in blocks:
                for key in block:
                    # In this order: a write keeps the old value before it sets the new one.
                    value = self._open_values().get(key)
                    if key in before:
                        value = before[key]
                    if value is not None:
                        yield key, value
        finally:
            self._ranges.pop(id(before), None)

    def _open_values(self) -> dict[bytes, bytes | None]:
        values = self._values
        if values is None:
            raise ClosedError("the store is closed")
        return values

    def _ordered(self, values: dict[bytes, bytes | None]) -> SortedKeys:
        """The keys in order. Called with the lock held."""
        order = self._order
        if order is None:
            order = self._order = SortedKeys(values)
        elif self._changed:
            order.change(self._changed, values)
        self._changed = []
        return order

    def _note(self, size: int, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Have the order mended at the next range. Called with the lock held."""
        self._changed += map(_key_of, changes)
        if len(self._changed) > max(_CHANGED_MIN, size // _CHANGED_PART):
            self._order = None
            self._changed = []

    def _keep_for_ranges(
        self,
        values: dict[bytes, bytes | None],
        changes: Iterable[tuple[bytes, bytes | None]],
    ) -> None:
        """Keep what unfinished ranges still have to see. Called with the lock held."""
        old = {key: values.get(key) for key, _ in changes}
        for before in list(self._ranges.values()):
            for key, value in old.items():
                before.setdefault(key, value)


class MemoryStoreKind:
    """Stores in this process's memory; folders are neither made nor looked at."""

    is_durable = False

    def open(self, folder: Path, *, cache_bytes: int) -> Store:  # noqa: ARG002 # it has neither
        return MemoryStore()

    def wipe(self, folder: Path) -> None:
        """Nothing outlives its store."""
