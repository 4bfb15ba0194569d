"""A store on disk: RocksDB, one database per folder, through `rocksdict`.

A killed process loses nothing that `write` returned from: the write-ahead log is in the operating system's hands by then. A power
failure may lose what was written since the last `flush`, always a tail; checkpoints travel in the same batch as the entries they
vouch for, so what is lost is restored from the changelogs.

Of all calls only `get_many`, `flush` and `close` release the interpreter's lock while RocksDB works.
"""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import starmap
from pathlib import Path
from threading import Lock, RLock
from typing import Any
from weakref import WeakSet

import rocksdict

from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import (
    ClosedError,
    HeadraceError,
    RestartError,
    SettingsError,
    StoreCorruptError,
)

_MIB = 1 << 20
_WRITE_BUFFER_MIN, _WRITE_BUFFER_MAX = 1 * _MIB, 32 * _MIB
_FILE_BYTES = 64 * _MIB
_FILTER_BITS = 10
_OPEN_FILES_MAX = 500
# A range is read in steps that grow up to here: one left after its first entry costs little, one read to its end is fast.
_STEP_ENTRIES_MIN, _STEP_ENTRIES_MAX = 8, 512
_STEP_BYTES_MAX = 256 * 1024
# What RocksDB's messages say of damage, beside beginning with "Corruption".
_DAMAGE = ("Corruption", "No such file or directory", "file is too short", "Not implemented")


class RocksdbStoreKind:
    """Stores on disk."""

    is_durable = True

    def open(self, folder: Path, *, cache_bytes: int) -> Store:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in folder.iterdir()}
        except OSError as error:
            raise SettingsError(
                f"the state folder '{folder}' cannot be used: {error.strerror}; name one that can be written"
            ) from error
        # RocksDB would take it for a new database and delete what is there.
        if "CURRENT" not in names and any(_is_data(name) for name in names):
            raise _corrupt(folder, "its file CURRENT is gone")
        options = _options(cache_bytes)
        try:
            # Named once more: otherwise the options of an existing database, its cache too, are those in its files.
            database = rocksdict.Rdict(str(folder), options, column_families={"default": options})
        except Exception as error:  # rocksdict raises nothing narrower
            raise _explained_at_opening(folder, error) from error
        return RocksdbStore(folder, database)

    def wipe(self, folder: Path) -> None:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SettingsError(
                f"the state folder '{folder}' cannot be deleted: {error.strerror}; delete it by hand"
            ) from error


class RocksdbStore:
    """An open database."""

    def __init__(self, folder: Path, database: rocksdict.Rdict) -> None:
        self._folder = folder
        self._database = database
        # Held by writes, by `get_many` and by whoever closes, which must not come into the midst of either.
        self._writing = Lock()
        self._reading = Lock()
        self._cursors: WeakSet[_Cursor] = WeakSet()
        self._is_closed = False

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key)
        except Exception as error:  # rocksdict raises nothing narrower
            raise self._explained(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        wanted = keys if isinstance(keys, list) else list(keys)
        with self._reading:
            try:
                found: Any = self._database.get(wanted)
            except Exception as error:  # rocksdict raises nothing narrower
                raise self._explained(error) from error
        values: list[bytes | None] = found
        return values

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return self._entries(start, end)

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        deletes: Iterable[bytes] = (),
        cleared: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        with self._writing:
            self._check_open()
            for start, end in cleared:
                self._clear(batch, start, end)
            # The cheapest loops there are; a batch has no call for many entries.
            deque(map(batch.delete, deletes), maxlen=0)
            deque(starmap(batch.put, puts), maxlen=0)
            try:
                self._database.write(batch)
            except Exception as error:  # rocksdict raises nothing narrower
                raise self._explained(error) from error

    def flush(self) -> None:
        with self._writing:
            try:
                self._database.flush_wal(sync=True)
            except Exception as error:  # rocksdict raises nothing narrower
                raise self._explained(error) from error

    @property
    def size_bytes(self) -> int:
        try:
            on_disk = self._database.property_int_value("rocksdb.live-sst-files-size")
            in_memory = self._database.property_int_value("rocksdb.cur-size-all-mem-tables")
        except Exception as error:  # rocksdict raises nothing narrower
            raise self._explained(error) from error
        return (on_disk or 0) + (in_memory or 0)

    def close(self) -> None:
        with self._writing, self._reading:
            if self._is_closed:
                return
            self._is_closed = True
            for cursor in list(self._cursors):
                cursor.close()
            # It writes out what is in memory. Where it cannot, the log has it, and the next to open meets the reason.
            with suppress(Exception):
                self._database.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise _closed(self._folder)

    def _explained(self, error: Exception) -> HeadraceError:
        # While another thread closes it, RocksDB's object refuses every use in words of its own.
        return _closed(self._folder) if self._is_closed else _explained(self._folder, error)

    def _clear(self, batch: rocksdict.WriteBatch, start: bytes, end: bytes) -> None:
        """Delete a range. Called with `_writing` held, so that no key comes behind the last one."""
        if not end:
            last = self._database.iter()
            last.seek_to_last()
            last_key = last.key()
            if last_key is None:
                _check(self._folder, last)
                return
            end = last_key + b"\0"
        # RocksDB refuses every later write after a batch with a range that ends before it starts.
        if start < end:
            batch.delete_range(start, end)

    def _entries(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._writing:
            self._check_open()
            cursor = _Cursor(self._folder, self._database, start, end)
            self._cursors.add(cursor)
        try:
            count = _STEP_ENTRIES_MIN
            while entries := cursor.read(count):
                yield from entries
                count = min(2 * count, _STEP_ENTRIES_MAX)
        finally:
            cursor.close()


class _Cursor:
    """A place in a range, which keeps the files that it reads until it is closed or forgotten."""

    def __init__(self, folder: Path, database: rocksdict.Rdict, start: bytes, end: bytes) -> None:
        self._folder = folder
        options = rocksdict.ReadOptions()
        if end:
            options.set_iterate_upper_bound(end)
        # Reentrant: whoever holds it may be the one whom the collector has finish a forgotten range.
        self._lock = RLock()
        self._iterator: rocksdict.RdictIter | None = database.iter(options)
        self._iterator.seek(start)

    def read(self, count: int) -> list[tuple[bytes, bytes]]:
        """The next entries, at most `count` and not many bytes; none at the end.

        Raises:
            ClosedError: the store was closed meanwhile.
            StoreCorruptError: the files are damaged.
        """
        entries: list[tuple[bytes, bytes]] = []
        with self._lock:
            iterator = self._iterator
            if iterator is None:
                raise _closed(self._folder)
            key_of, value_of, step = iterator.key, iterator.value, iterator.next
            size = 0
            while len(entries) < count and size < _STEP_BYTES_MAX:
                key = key_of()
                if key is None:
                    # The end, or something that cannot be read.
                    _check(self._folder, iterator)
                    break
                value = value_of()
                entries.append((key, value))
                size += len(value)
                step()
        return entries

    def close(self) -> None:
        with self._lock:
            self._iterator = None


def _options(cache_bytes: int) -> rocksdict.Options:
    """Small records, few threads, and memory that `cache_bytes` bounds: blocks, indexes, filters and what is being written."""
    cache = rocksdict.Cache(cache_bytes)
    buffer_bytes = min(max(cache_bytes // 4, _WRITE_BUFFER_MIN), _WRITE_BUFFER_MAX)

    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(_FILTER_BITS, block_based=False)
    table.set_format_version(5)
    table.set_cache_index_and_filter_blocks(True)
    # In parts, so that a look-up in a large database need not have all of a file's filter in a small cache.
    table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_pin_top_level_index_and_filter(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)

    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    # A log that ends in the midst of a batch is what a power failure leaves: what comes before it is whole.
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    options.set_write_buffer_size(buffer_bytes)
    options.set_max_write_buffer_number(3)
    options.set_write_buffer_manager(
        rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            2 * buffer_bytes, False, cache
        )
    )
    # Writes come one at a time, so they need not pay for coming together.
    options.set_allow_concurrent_memtable_write(False)
    lz4, none = rocksdict.DBCompressionType.lz4(), rocksdict.DBCompressionType.none()
    options.set_compression_per_level([none, none, lz4, lz4, lz4, lz4, lz4])
    options.set_target_file_size_base(_FILE_BYTES)
    options.set_max_bytes_for_level_base(4 * _FILE_BYTES)
    options.set_level_compaction_dynamic_level_bytes(True)
    # Timers are deleted in the order in which ranges look for them, and a range steps over what is deleted.
    options.add_compact_on_deletion_collector_factory(20_000, 5_000, 0.3)
    options.set_max_background_jobs(2)
    options.set_max_open_files(_OPEN_FILES_MAX)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _is_data(name: str) -> bool:
    return name.startswith("MANIFEST-") or name.endswith(".sst")


def _check(folder: Path, iterator: rocksdict.RdictIter) -> None:
    """Raise what made an iterator end, where that is not the end of the entries."""
    try:
        iterator.status()
    except Exception as error:  # rocksdict raises nothing narrower
        raise _explained(folder, error) from error


def _explained_at_opening(folder: Path, error: Exception) -> HeadraceError:
    """An error of ours for one of RocksDB's on opening."""
    text = " ".join(str(error).split())
    if "LOCK" in text and "lock" in text:
        return SettingsError(
            f"the state folder '{folder}' is in use by another process or store; every worker needs one of its own"
        )
    if any(
        sign in text for sign in ("Permission denied", "Read-only file system", "Not a directory")
    ):
        return SettingsError(f"the state folder '{folder}' cannot be used: {text}")
    if "No space left" in text:
        return RestartError(f"the store in '{folder}' cannot be opened: {text}; make room")
    return _corrupt(folder, text)


def _explained(folder: Path, error: Exception) -> HeadraceError:
    """An error of ours for one of RocksDB's on an open database."""
    text = " ".join(str(error).split())
    if any(sign in text for sign in _DAMAGE):
        return _corrupt(folder, text)
    return RestartError(
        f"the store in '{folder}' cannot go on: {text}; look at the disk, then start the worker again"
    )


def _corrupt(folder: Path, text: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"the store in '{folder}' is damaged: {text}; delete the folder, its contents are restored from the changelogs"
    )


def _closed(folder: Path) -> ClosedError:
    return ClosedError(f"the store in '{folder}' is closed")
