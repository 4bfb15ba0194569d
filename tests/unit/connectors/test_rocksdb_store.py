"""What becomes of damaged files, full disks and forgotten ranges."""

import gc
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.connectors.rocksdb_store import RocksdbStore, RocksdbStoreKind
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import ClosedError, SettingsError, StoreCorruptError

CACHE_BYTES = 8 << 20
KIND = RocksdbStoreKind()
KEYS = [b"%06d" % number for number in range(20_000)]

Damage = Callable[[Path], object]


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def make_empty(file: Path) -> None:
    file.write_bytes(b"")


def scramble(file: Path) -> None:
    """Other bytes in the middle third, as many as there were."""
    whole = file.read_bytes()
    third = len(whole) // 3 or 1
    middle = bytes(byte ^ 0x5A for byte in whole[third : 2 * third])
    file.write_bytes(whole[:third] + middle + whole[2 * third :])


DAMAGE = [cut_off, make_empty, scramble, Path.unlink]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a process that was killed: most entries in a table, the last ones in the log only."""
    folder = tmp_path_factory.mktemp("intact") / "store"
    first = KIND.open(folder, cache_bytes=CACHE_BYTES)
    first.write([(key, b"%030d" % int(key)) for key in KEYS])
    first.close()
    second = KIND.open(folder, cache_bytes=CACHE_BYTES)
    for number in range(100):
        second.write([(b"late", b"%d" % number), (b"late-%03d" % number, b"")])
    copy = folder.parent / "killed"
    shutil.copytree(folder, copy)
    second.close()
    return copy


@pytest.fixture
def folder(intact: Path, tmp_path: Path) -> Path:
    """A copy of those files to damage."""
    copy = tmp_path / "store"
    shutil.copytree(intact, copy)
    return copy


def largest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda file: file.stat().st_size)


def use(folder: Path, read: Callable[[Store], object]) -> None:
    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)
    try:
        read(opened)
    finally:
        opened.close()


def read_singly(store: Store) -> None:
    for key in KEYS:
        store.get(key)


def read_together(store: Store) -> None:
    store.get_many(KEYS)


def read_in_order(store: Store) -> None:
    assert sum(1 for _ in store.range(b"", b"")) == len(KEYS) + 101


READS = [read_singly, read_together, read_in_order]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT"])
def test_damaged_files_are_told_on_opening_or_reading(
    folder: Path, pattern: str, damage: Damage, read: Callable[[Store], object]
) -> None:
    damage(largest(folder, pattern))

    with pytest.raises(StoreCorruptError, match=r"damaged: .*; delete the folder") as caught:
        use(folder, read)

    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", READS)
def test_a_table_that_is_damaged_while_the_store_is_open_is_told_on_every_read(
    folder: Path, read: Callable[[Store], object]
) -> None:
    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)
    scramble(largest(folder, "*.sst"))

    for _ in range(2):
        with pytest.raises(StoreCorruptError):
            read(opened)

    opened.close()


def test_an_intact_copy_is_read_whole(folder: Path) -> None:
    for read in READS:
        use(folder, read)


@pytest.mark.parametrize("damage", [cut_off, make_empty, scramble])
def test_a_damaged_log_loses_a_tail_of_whole_writes(folder: Path, damage: Damage) -> None:
    damage(largest(folder, "*.log"))

    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)

    last = opened.get(b"late")
    late = [key for key, _ in opened.range(b"late-", b"late.")]
    assert late == [
        b"late-%03d" % number for number in range(-1 if last is None else int(last) + 1)
    ]
    assert opened.get_many(KEYS).count(None) == 0
    opened.close()


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("pattern", ["OPTIONS-*", "IDENTITY", "LOG", "rocksdict-config.json"])
def test_files_that_hold_no_state_may_be_damaged(
    folder: Path, pattern: str, damage: Damage
) -> None:
    for file in folder.glob(pattern):
        damage(file)

    use(folder, read_in_order)


def test_a_damaged_store_can_be_wiped_and_used_again(folder: Path) -> None:
    make_empty(folder / "CURRENT")
    with pytest.raises(StoreCorruptError):
        KIND.open(folder, cache_bytes=CACHE_BYTES)
    KIND.wipe(folder)

    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)
    opened.write([(b"a", b"1")])

    assert list(opened.range(b"", b"")) == [(b"a", b"1")]
    opened.close()


def test_a_store_that_failed_to_open_can_be_wiped_at_once(folder: Path) -> None:
    cut_off(largest(folder, "MANIFEST-*"))
    with pytest.raises(StoreCorruptError):
        KIND.open(folder, cache_bytes=CACHE_BYTES)

    KIND.wipe(folder)

    assert not folder.exists()


def test_a_range_that_was_left_does_not_keep_the_files(folder: Path) -> None:
    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)
    left = opened.range(b"", b"")
    next(left)
    cycle = [left]
    cycle.append(cycle)  # type: ignore[arg-type] # a cycle, which only the collector frees
    del left, cycle
    opened.close()

    again = KIND.open(folder, cache_bytes=CACHE_BYTES)
    gc.collect()

    assert again.get(KEYS[0]) is not None
    again.close()


def test_a_folder_that_is_already_open_says_so(folder: Path) -> None:
    opened = KIND.open(folder, cache_bytes=CACHE_BYTES)

    with pytest.raises(SettingsError, match=r"in use by another process or store"):
        KIND.open(folder, cache_bytes=CACHE_BYTES)

    opened.close()


def test_closing_waits_for_a_read_that_is_under_way(folder: Path) -> None:
    for _ in range(5):
        opened = KIND.open(folder, cache_bytes=CACHE_BYTES)
        has_read = threading.Event()
        reader = threading.Thread(target=read_until_closed, args=(opened, has_read), daemon=True)
        reader.start()
        has_read.wait()

        opened.close()

        # Were it still in use, this would be refused.
        KIND.open(folder, cache_bytes=CACHE_BYTES).close()
        reader.join()


def read_until_closed(store: Store, has_read: threading.Event) -> None:
    try:
        while True:
            store.get_many(KEYS)
            has_read.set()
    except ClosedError:
        pass


@pytest.mark.parametrize("cache_bytes", [8 << 20, 16 << 20])
def test_the_cache_of_an_existing_store_is_bounded_by_what_is_asked_for_now(
    folder: Path, cache_bytes: int
) -> None:
    opened = KIND.open(folder, cache_bytes=cache_bytes)
    assert isinstance(opened, RocksdbStore)
    for read in READS:
        read(opened)

    database = opened._database

    assert database.property_int_value("rocksdb.block-cache-capacity") == cache_bytes
    assert 0 < (database.property_int_value("rocksdb.block-cache-usage") or 0) <= cache_bytes
    opened.close()
