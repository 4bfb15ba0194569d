import logging
from collections.abc import Iterable
from threading import Event

import pytest

from headrace.runtime.contracts.broker import Message, Reader, TopicPartition
from headrace.runtime.errors import RestartError, StoreCorruptError
from headrace.runtime.state.codec import encode
from headrace.runtime.state.layout import (
    MOMENT,
    accumulator_key,
    checkpoint,
    entry_key,
    expiry_index_key,
    region_of,
    timer_index_key,
    timer_key,
)
from headrace.runtime.state.memory_store import MemoryStore
from tests.unit.state.restoring import (
    TOPIC,
    CutReader,
    FailingStore,
    World,
    await_done,
    contents,
    eventually,
    numbered,
    replica,
)

DAY_S = 86_400.0


def test_a_store_has_the_last_value_of_every_key_after_a_restore(world: World) -> None:
    key = entry_key(b"a", "")
    world.write([(key, encode(1)), *numbered(0, 3000), (key, encode(2))])
    world.write([(key, encode(3))])

    world.restore(0)

    assert world.contents() == {**dict(numbered(0, 3000)), key: encode(3)}


def test_the_checkpoint_is_the_end_behind_the_transaction(world: World) -> None:
    world.write(numbered(0, 10))

    world.restore(0)

    assert world.checkpoint() == 11


def test_an_empty_changelog_is_done_without_a_reader(world: World) -> None:
    def no_reader() -> Reader:
        raise AssertionError

    restorer = world.restorer(new_reader=no_reader)

    restorer.restore([replica(0), replica(1)])

    await_done(restorer, 0, 1)


def test_partitions_and_topics_are_told_apart(world: World) -> None:
    world.create("other")
    world.write(numbered(0, 5), 0)
    world.write(numbered(5, 9), 1)
    world.write(numbered(9, 12), 1, topic="other")
    restorer = world.restorer()

    restorer.restore([replica(0), replica(1), replica(1, topic="other")])

    eventually(lambda: not restorer.progress())
    assert world.contents(0) == dict(numbered(0, 5))
    assert world.contents(1) == dict(numbered(5, 9))
    assert contents(world.store, region_of(2, 1)) == dict(numbered(9, 12))


def test_aborted_records_never_appear(world: World) -> None:
    world.write(numbered(0, 3), outcome="abort")
    world.write(numbered(3, 5))
    world.write(numbered(5, 8), outcome="abort")

    world.restore(0)

    assert world.contents() == dict(numbered(3, 5))


def test_an_open_transaction_is_waited_for(world: World) -> None:
    world.write(numbered(0, 3))
    commit = world.write(numbered(3, 5), outcome="open")
    restorer = world.restorer()
    restorer.restore([replica(0)])
    eventually(lambda: world.contents() == dict(numbered(0, 3)))
    assert restorer.done() == []

    commit()

    await_done(restorer, 0)
    assert world.contents() == dict(numbered(0, 5))


def test_tombstones_delete_in_the_same_batch_and_in_later_ones(world: World) -> None:
    keys = [key for key, _ in numbered(0, 4)]
    world.write([*numbered(0, 4), (keys[0], None)])
    world.restore(0)
    assert keys[0] not in world.contents()

    world.write([(keys[1], None), (keys[2], None), (keys[2], encode(7))])
    world.restore(0)

    assert world.contents() == {keys[2]: encode(7), keys[3]: encode([3])}


def test_timers_and_expiries_get_their_index(world: World) -> None:
    timer = timer_key(b"e", b"a", "close")
    huge = timer_key(b"w", b"a", "far")
    entry, bin_key = entry_key(b"a", "seen"), accumulator_key(60_000, b"a")
    huge_ms = 0x0100_0000_0000_0000 + 5  # its first byte looks like the version of a value
    world.write([(timer, MOMENT.pack(500)), (huge, MOMENT.pack(huge_ms))])
    world.write([(entry, encode("x", 700)), (bin_key, encode([1], 800))])

    world.restore(0)

    assert world.contents() == {
        timer: MOMENT.pack(500),
        timer_index_key(timer, 500): b"",
        huge: MOMENT.pack(huge_ms),
        timer_index_key(huge, huge_ms): b"",
        entry: encode("x", 700),
        expiry_index_key(entry, 700): b"",
        bin_key: encode([1], 800),
        expiry_index_key(bin_key, 800): b"",
    }


def test_a_restore_goes_on_where_it_was_killed(world: World) -> None:
    world.store = store = FailingStore()
    store.writes_left = 3
    world.write(numbered(0, 100))
    first = world.restorer(new_reader=lambda: CutReader(world.reader(), [10]))
    first.restore([replica(0)])
    with pytest.raises(StoreCorruptError, match="made to fail"):
        await_done(first, 0)
    store.writes_left = None
    assert world.checkpoint() == 30
    second = CutReader(world.reader(), [10])
    restorer = world.restorer(new_reader=lambda: second)

    restorer.restore([replica(0)])

    await_done(restorer, 0)
    assert second.records == 70
    assert world.contents() == dict(numbered(0, 100))


def test_what_made_the_thread_fail_is_told_at_every_call(world: World) -> None:
    def broken() -> Reader:
        raise RestartError("no client")

    restorer = world.restorer(new_reader=broken)
    world.write(numbered(0, 1))

    restorer.restore([replica(0)])

    with pytest.raises(RestartError, match="no client"):
        await_done(restorer, 0)
    with pytest.raises(RestartError, match="no client"):
        restorer.done()


def test_a_record_without_key_is_refused_with_its_place(world: World) -> None:
    plain = "plain.changelog"
    world.create(plain)
    world.write([(b"", encode(1))], topic=plain)
    restorer = world.restorer()

    restorer.restore([replica(0, topic=plain)])

    with pytest.raises(RestartError, match=r"plain\.changelog\[0\]@0 has no key"):
        eventually(restorer.done)


def test_a_changelog_that_was_created_anew_is_restored_from_its_beginning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write(numbered(0, 50))
    world.restore(0)
    world.admin.delete([TOPIC])
    world.create(TOPIC)
    world.write(numbered(90, 95))

    world.restore(0)

    assert world.contents() == dict(numbered(90, 95))
    assert "was it created anew?" in caplog.text


def test_a_changelog_that_is_created_anew_while_it_is_followed_is_read_from_its_beginning(
    world: World,
) -> None:
    world.write(numbered(0, 50))
    restorer = world.restorer(new_reader=lambda: _Stopping(world.reader(), stop, go))
    stop, go = Event(), Event()
    restorer.follow([replica(0)])
    eventually(lambda: world.checkpoint() == 51)
    stop.set()
    eventually(go.is_set)
    world.admin.delete([TOPIC])
    world.create(TOPIC)
    world.write(numbered(90, 95))

    stop.clear()

    eventually(lambda: world.contents() == dict(numbered(90, 95)))
    assert restorer.done() == []


class _Stopping(CutReader):
    """Stands still while `stop` is set, and says so."""

    def __init__(self, reader: Reader, stop: Event, stands: Event) -> None:
        super().__init__(reader, [1000])
        self._stop = stop
        self._stands = stands

    def read(self, count: int, timeout_s: float) -> list[Message]:
        if self._stop.is_set():
            self._stands.set()
            eventually(lambda: not self._stop.is_set())
        return super().read(count, timeout_s)


def test_a_changelog_without_the_records_behind_the_checkpoint_is_restored_from_its_beginning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write(numbered(0, 5))
    world.restore(0)
    world.write(numbered(5, 20))
    world.admin.delete_records({TopicPartition(TOPIC, 0): 10})

    world.restore(0)

    assert world.contents() == dict(numbered(9, 20))
    assert "it begins at 10, behind the checkpoint 6" in caplog.text


def test_a_store_that_may_have_missed_a_tombstone_is_restored_from_the_beginning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gone, _ = numbered(0, 1)[0]
    world.write(numbered(1, 5))
    world.restore(0)
    world.store.write([(region_of(1, 0) + gone, encode(0))])
    world.write(numbered(5, 6))
    world.clock.advance(DAY_S + 1)
    world.write(numbered(6, 7))

    world.restore(0)

    assert world.contents() == dict(numbered(1, 7))
    assert "delete.retention.ms" in caplog.text


def test_an_idle_store_is_reused_however_old_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write(numbered(0, 5))
    world.restore(0)
    region = region_of(1, 0)
    world.store.write([checkpoint(region, 5)])  # as a task leaves it: before the transaction's end
    world.clock.advance(10 * DAY_S)

    world.restore(0)

    assert world.checkpoint() == 6
    assert "from the beginning" not in caplog.text


def test_a_store_is_reused_within_the_time_that_tombstones_are_kept(world: World) -> None:
    world.write(numbered(0, 5))
    world.restore(0)
    world.write(numbered(5, 9))
    world.clock.advance(DAY_S / 2)
    reader = CutReader(world.reader(), [100])
    restorer = world.restorer(new_reader=lambda: reader)

    restorer.restore([replica(0)])

    await_done(restorer, 0)
    assert reader.records == 4


class _SlowStore(MemoryStore):
    """A write to one region waits until the test lets it go on."""

    def __init__(self, region: bytes) -> None:
        super().__init__()
        self._region = region
        self.is_writing = Event()
        self.may_write = Event()

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        deletes: Iterable[bytes] = (),
        cleared: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        entries = list(puts)
        if any(key.startswith(self._region) for key, _ in entries):
            self.is_writing.set()
            assert self.may_write.wait(20)
        super().write(entries, deletes, cleared)


def test_release_waits_for_a_write_under_way_and_for_no_other(world: World) -> None:
    world.store = store = _SlowStore(region_of(1, 0))
    world.write(numbered(0, 50), 0)
    restorer = world.restorer()
    restorer.restore([replica(0)])
    assert store.is_writing.wait(20)
    restorer.release([TopicPartition(TOPIC, 1)])  # returns, although the other is being written
    assert not store.may_write.is_set()
    store.may_write.set()

    restorer.release([TopicPartition(TOPIC, 0)])

    assert world.contents(0) == dict(numbered(0, 50))
    assert restorer.done() == []


def test_a_released_region_is_not_written_to_afterwards(world: World) -> None:
    stop, stands = Event(), Event()
    world.write(numbered(0, 50), 0)
    world.write(numbered(50, 60), 1)
    stop.set()
    restorer = world.restorer(new_reader=lambda: _Stopping(world.reader(), stop, stands))
    restorer.restore([replica(0), replica(1)])
    assert stands.wait(20)

    restorer.release([TopicPartition(TOPIC, 0)])
    stop.clear()

    await_done(restorer, 1)
    assert world.contents(0) == {}
    assert world.checkpoint(0) is None
    assert world.contents(1) == dict(numbered(50, 60))


def test_what_was_released_is_not_handed_over(world: World) -> None:
    restorer = world.restorer()
    restorer.restore([replica(0)])
    eventually(lambda: not restorer.progress())

    restorer.release([TopicPartition(TOPIC, 0)])

    assert restorer.done() == []


def test_nothing_is_written_after_close(world: World) -> None:
    stop, stands = Event(), Event()
    world.write(numbered(0, 50))
    stop.set()
    restorer = world.restorer(new_reader=lambda: _Stopping(world.reader(), stop, stands))
    restorer.follow([replica(0)])
    assert stands.wait(20)
    world.clock.advance(1)
    stop.clear()

    restorer.close()
    restorer.close()

    before = world.contents()
    world.write(numbered(50, 60))
    assert world.contents() == before


def test_a_member_with_nothing_to_read_keeps_no_reader(world: World) -> None:
    closed = Event()

    class Noting(CutReader):
        def close(self) -> None:
            super().close()
            closed.set()

    world.write(numbered(0, 5))
    restorer = world.restorer(new_reader=lambda: Noting(world.reader(), [100]))

    restorer.restore([replica(0)])

    await_done(restorer, 0)
    assert closed.wait(20)


def test_progress_is_told_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.write(numbered(0, 40))
    commit = world.write(numbered(40, 50), outcome="open")
    restorer = world.restorer()
    restorer.restore([replica(0)])
    eventually(lambda: [one.restored for one in restorer.progress()] == [41])
    progress = restorer.progress()[0]
    assert (progress.to_restore, progress.lag, progress.is_standby) == (51, 10, False)

    def is_logged() -> bool:
        world.clock.advance(1)
        return "restoring orders/totals[0]: 41 of 51 records (80 %)" in caplog.text

    eventually(is_logged)
    commit()

    await_done(restorer, 0)
    assert "restored orders/totals[0]: 51 records in " in caplog.text
