"""What the engine asks of a store: sorted bytes, on disk (`connectors.rocksdb_store`) or in memory.

One store per member holds the state of all of its tasks, told apart by the beginnings of the keys. One contract suite,
`tests/contract/test_store.py`, runs on every kind. Kinds are found through the entry-point group `headrace.stores`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Keys in the order of their bytes. Thread-safe: writes exclude each other, reads go on beside them.

    Raises:
        StoreCorruptError: the files are damaged; the store must be wiped and its contents restored from the changelogs.
    """

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """One value, or None, per key, in the order of the keys."""

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Entries with `start` <= key < `end`, in order, as they were when the first was asked for.

        Not held in memory as a whole; may be left before its end. `end` empty means to the last key.
        """

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        deletes: Iterable[bytes] = (),
        cleared: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """Clear ranges, delete keys, put entries, in this order, all or nothing, also when the process is killed."""

    def flush(self) -> None:
        """Return when everything written outlives a power failure."""

    @property
    def size_bytes(self) -> int:
        """About what the store occupies, for people."""

    def close(self) -> None:
        """Release the files. May be called again; every other method raises `ClosedError` afterwards."""


class StoreKind(Protocol):
    """Opens stores of one kind."""

    is_durable: bool
    """Whether what was written is there after the process has ended."""

    def open(self, folder: Path, *, cache_bytes: int) -> Store:
        """Open the store of a folder, making it if it is not there. `cache_bytes` bounds what it keeps in memory.

        Raises:
            StoreCorruptError: the files are damaged.
            SettingsError: the folder cannot be used.
        """

    def wipe(self, folder: Path) -> None:
        """Delete the store of a folder, which must not be open; one that is not there is no error."""
