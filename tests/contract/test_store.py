"""What every store does alike, and what those do that keep files."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from headrace.runtime.contracts.store import Store, StoreKind
from headrace.runtime.errors import ClosedError, SettingsError
from headrace.runtime.stores import store_kind

CACHE_BYTES = 8 << 20


@pytest.fixture(params=["memory", "rocksdb"])
def kind(request: pytest.FixtureRequest) -> StoreKind:
    return store_kind(request.param)


@pytest.fixture
def durable() -> StoreKind:
    return store_kind("rocksdb")


@pytest.fixture
def store(kind: StoreKind, tmp_path: Path) -> Iterator[Store]:
    opened = kind.open(tmp_path / "store", cache_bytes=CACHE_BYTES)
    yield opened
    opened.close()


def everything(store: Store) -> dict[bytes, bytes]:
    return dict(store.range(b"", b""))


def numbered(count: int, value: bytes = b"v") -> list[tuple[bytes, bytes]]:
    return [(b"%06d" % number, value) for number in range(count)]


def test_what_was_written_is_read(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b""), (b"\x00\xff", b"\xff\x00")])

    assert [store.get(key) for key in (b"a", b"b", b"\x00\xff")] == [b"1", b"", b"\xff\x00"]


def test_a_key_that_is_not_there_is_none(store: Store) -> None:
    store.write([(b"ab", b"1")])

    assert [store.get(key) for key in (b"a", b"abc", b"")] == [None, None, None]


def test_the_empty_key_is_a_key(store: Store) -> None:
    store.write([(b"", b"1"), (b"a", b"2")])

    assert store.get(b"") == b"1"
    assert list(store.range(b"", b"a")) == [(b"", b"1")]


def test_many_values_come_in_the_order_of_their_keys(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")])

    assert store.get_many([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]
    assert store.get_many((b"a",)) == [b"1"]
    assert store.get_many([]) == []


def test_a_later_write_replaces_an_earlier_one(store: Store) -> None:
    store.write([(b"a", b"1")])
    store.write([(b"a", b"2"), (b"a", b"3")])

    assert store.get(b"a") == b"3"
    assert everything(store) == {b"a": b"3"}


def test_deleted_keys_are_gone_and_deleting_again_is_no_error(store: Store) -> None:
    store.write(numbered(3))
    store.write([], deletes=[b"000001", b"missing"])
    store.write([], deletes=[b"000001"])

    assert store.get(b"000001") is None
    assert list(everything(store)) == [b"000000", b"000002"]


def test_a_write_clears_then_deletes_then_puts(store: Store) -> None:
    store.write([(b"a1", b"old"), (b"a2", b"old"), (b"b", b"old"), (b"c", b"old")])

    store.write([(b"a1", b"new"), (b"b", b"new")], deletes=[b"b", b"c"], cleared=[(b"a", b"b")])

    assert everything(store) == {b"a1": b"new", b"b": b"new"}


def test_ranges_are_cleared_from_their_start_to_before_their_end(store: Store) -> None:
    store.write(numbered(10))

    store.write([], cleared=[(b"000002", b"000005"), (b"000007", b"")])

    assert [int(key) for key in everything(store)] == [0, 1, 5, 6]


def test_an_empty_range_clears_nothing_and_harms_no_later_write(store: Store) -> None:
    store.write([], cleared=[(b"", b"")])
    store.write(numbered(2), cleared=[(b"b", b"a"), (b"a", b"a"), (b"zz", b"")])
    store.write([(b"later", b"v")])

    assert len(everything(store)) == 3


def test_keys_written_after_clearing_stay(store: Store) -> None:
    store.write(numbered(5))
    store.write([], cleared=[(b"", b"")])
    store.write(numbered(2, b"new"))

    assert everything(store) == dict(numbered(2, b"new"))


def test_a_range_is_in_the_order_of_bytes(store: Store) -> None:
    keys = [b"", b"\x00", b"\x00\x00", b"a", b"a\x00", b"aa", b"b", b"\x7f", b"\x80", b"\xff\xff"]
    store.write([(key, b"") for key in reversed(keys)])

    assert [key for key, _ in store.range(b"", b"")] == sorted(keys)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (b"000003", b"000006", [3, 4, 5]),
        (b"0000025", b"0000035", [3]),
        (b"000008", b"", [8, 9]),
        (b"", b"000002", [0, 1]),
        (b"000004", b"000004", []),
        (b"000005", b"000003", []),
        (b"1", b"", []),
        (b"", b"0", []),
    ],
)
def test_a_range_has_its_start_and_not_its_end(
    store: Store, start: bytes, end: bytes, expected: list[int]
) -> None:
    store.write(numbered(10))

    assert [int(key) for key, _ in store.range(start, end)] == expected


def test_a_range_may_be_long_and_its_values_large(store: Store) -> None:
    entries = [(b"%06d" % number, b"%d" % number * 5_000) for number in range(700)]
    store.write(entries)
    store.write(numbered(5_000, b"small"), cleared=[(b"000100", b"")])

    assert list(store.range(b"", b"")) == numbered(5_000, b"small")


def test_a_range_shows_the_store_as_it_was_when_its_first_entry_was_asked_for(
    store: Store,
) -> None:
    store.write(numbered(3_000, b"old"))
    entries = store.range(b"000010", b"")
    store.write([(b"000010", b"in time")])
    first = next(entries)

    store.write(
        [(b"000011", b"new"), (b"0000115", b"added"), (b"9", b"added"), (b"002000", b"new")],
        deletes=[b"000012", b"002999"],
        cleared=[(b"001000", b"001500")],
    )
    store.write([(b"000012", b"again"), (b"002000", b"newer")])

    assert first == (b"000010", b"in time")
    assert list(entries) == numbered(3_000, b"old")[11:]
    assert len(everything(store)) == 3_000 - 500 + 2 - 1


def test_ranges_that_began_at_different_times_do_not_disturb_each_other(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    first = store.range(b"", b"")
    next(first)
    store.write([(b"b", b"2")], deletes=[b"c"])
    second = store.range(b"", b"")
    next(second)
    store.write([(b"b", b"3"), (b"c", b"3")])

    assert list(first) == [(b"b", b"1"), (b"c", b"1")]
    assert list(second) == [(b"b", b"2")]
    assert list(islice(store.range(b"b", b""), 2)) == [(b"b", b"3"), (b"c", b"3")]


def test_a_range_may_be_left_before_its_end(store: Store) -> None:
    store.write(numbered(2_000))
    for _ in range(100):
        assert len(list(islice(store.range(b"", b""), 3))) == 3

    store.write([(b"a", b"1")], cleared=[(b"0", b"1")])

    assert everything(store) == {b"a": b"1"}


def test_a_write_whose_entries_fail_changes_nothing(store: Store) -> None:
    store.write([(b"a", b"1")])

    def failing() -> Iterator[tuple[bytes, bytes]]:
        yield (b"b", b"2")
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        store.write(failing(), deletes=[b"a"], cleared=[(b"", b"")])

    assert everything(store) == {b"a": b"1"}


def test_readers_see_a_write_as_a_whole_or_not_at_all(store: Store) -> None:
    """A writer changes all entries at once, over and over; nobody sees two generations in one range."""
    keys = [b"%03d" % number for number in range(200)]
    generations = [(b"%d" % number) for number in range(150)]
    store.write([(key, generations[0]) for key in keys])
    has_ended = threading.Event()
    seen: list[set[bytes]] = []
    order: list[list[bytes]] = []

    def read() -> None:
        while not has_ended.is_set():
            seen.append({value for _, value in store.range(b"0", b"1")})
            # What is read later is not older.
            order.append([value for key in keys[:3] if (value := store.get(key)) is not None])

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number, generation in enumerate(generations):
        extra = b"0%03d" % number
        store.write(
            [(key, generation) for key in keys],
            deletes=[b"0%03d" % (number - 1)] if number else [],
            cleared=[(b"1", b"2")],
        )
        store.write([(extra, generation)])
    has_ended.set()
    for reader in readers:
        reader.join()

    assert seen
    assert all(len(values) == 1 for values in seen)
    assert all(values == sorted(values, key=int) for values in order)


def test_writers_exclude_each_other(store: Store) -> None:
    def write(name: bytes) -> None:
        for number in range(50):
            store.write([(b"shared", name), (b"%s-%d" % (name, number), b"")])
            store.get_many([b"shared"])

    writers = [threading.Thread(target=write, args=(b"%d" % number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert len(everything(store)) == 4 * 50 + 1


def test_the_size_grows_with_the_contents(store: Store) -> None:
    store.write([(b"a", b"1")])
    before = store.size_bytes
    store.write(numbered(20_000, b"v" * 100))

    assert before + 1_000_000 < store.size_bytes < before + 20_000_000


def test_flushing_changes_nothing(store: Store) -> None:
    store.write(numbered(3))
    store.flush()
    store.flush()

    assert everything(store) == dict(numbered(3))


def test_a_closed_store_may_be_closed_and_used_no_more(store: Store) -> None:
    store.write(numbered(2_000))
    entries = store.range(b"", b"")
    not_begun = store.range(b"", b"")
    next(entries)
    store.close()
    store.close()

    for use in (
        lambda: store.get(b"a"),
        lambda: store.get_many([b"a"]),
        lambda: store.range(b"", b""),
        lambda: store.write([(b"a", b"1")]),
        lambda: store.flush(),
        lambda: store.size_bytes,
        lambda: list(entries),
        lambda: next(not_begun),
    ):
        with pytest.raises(ClosedError, match="closed"):
            use()


def test_a_store_can_be_closed_while_others_read(store: Store) -> None:
    store.write(numbered(5_000))
    keys = [key for key, _ in numbered(5_000)]
    have_begun = threading.Barrier(4)
    unexpected: list[BaseException] = []

    def read(step: int) -> None:
        have_begun.wait()
        try:
            while True:
                (lambda: store.get_many(keys), lambda: everything(store), lambda: store.get(b"0"))[
                    step
                ]()
        except ClosedError:
            pass
        except BaseException as error:  # whatever it is, the test shall name it
            unexpected.append(error)

    readers = [threading.Thread(target=read, args=(step,)) for step in range(3)]
    for reader in readers:
        reader.start()
    have_begun.wait()
    store.close()
    for reader in readers:
        reader.join()

    assert unexpected == []


def test_a_wiped_store_is_empty(kind: StoreKind, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    opened = kind.open(folder, cache_bytes=CACHE_BYTES)
    opened.write(numbered(10))
    opened.close()
    kind.wipe(folder)
    kind.wipe(folder)

    again = kind.open(folder, cache_bytes=CACHE_BYTES)

    assert everything(again) == {}
    again.close()


def test_stores_of_different_folders_are_different(kind: StoreKind, tmp_path: Path) -> None:
    one = kind.open(tmp_path / "one", cache_bytes=CACHE_BYTES)
    other = kind.open(tmp_path / "other", cache_bytes=CACHE_BYTES)
    one.write([(b"a", b"1")])

    assert other.get(b"a") is None
    one.close()
    other.close()


def test_a_durable_store_has_what_was_written_when_it_is_opened_again(
    durable: StoreKind, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "store"
    first = durable.open(folder, cache_bytes=CACHE_BYTES)
    first.write(numbered(1_000))
    left = first.range(b"", b"")
    next(left)
    first.close()

    second = durable.open(folder, cache_bytes=CACHE_BYTES)
    second.write([(b"a", b"1")], cleared=[(b"000500", b"1")])
    second.close()
    third = durable.open(folder, cache_bytes=CACHE_BYTES)

    assert durable.is_durable
    assert everything(third) == {**dict(numbered(500)), b"a": b"1"}
    third.close()


def test_a_durable_store_belongs_to_one_at_a_time(durable: StoreKind, tmp_path: Path) -> None:
    opened = durable.open(tmp_path / "store", cache_bytes=CACHE_BYTES)
    opened.write([(b"a", b"1")])

    with pytest.raises(SettingsError, match="in use by another"):
        durable.open(tmp_path / "store", cache_bytes=CACHE_BYTES)

    assert opened.get(b"a") == b"1"
    opened.close()


def test_a_folder_that_is_a_file_is_an_error_of_the_settings(
    durable: StoreKind, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="cannot be used"):
        durable.open(tmp_path / "file", cache_bytes=CACHE_BYTES)
    with pytest.raises(SettingsError, match="cannot be deleted"):
        durable.wipe(tmp_path / "file")


VICTIM = """
import sys
from pathlib import Path
from headrace.runtime.stores import store_kind

store = store_kind("rocksdb").open(Path(sys.argv[1]), cache_bytes=8 << 20)
number = 0
while True:
    store.write(
        [(b"%08d" % (number + one), b"v" * 50) for one in range(100)] + [(b"count", b"%d" % (number + 100))]
    )
    number += 100
    print(number, flush=True)
"""


def test_a_killed_process_keeps_everything_that_write_returned_from(
    durable: StoreKind, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(folder)], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        written = [int(line) for line in islice(victim.stdout, 500)][-1]
        with pytest.raises(SettingsError, match="in use by another"):
            durable.open(folder, cache_bytes=CACHE_BYTES)
        victim.kill()
        written = max([written, *(int(line) for line in victim.stdout if line.endswith("\n"))])

    survivor = durable.open(folder, cache_bytes=CACHE_BYTES)

    count = int(survivor.get(b"count") or 0)
    assert count >= written
    assert len(list(survivor.range(b"0", b"1"))) == count
    survivor.close()


def test_a_store_that_is_not_installed_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(
        SettingsError, match="there is no store 'rock'; installed are memory, rocksdb"
    ):
        store_kind("rock")
