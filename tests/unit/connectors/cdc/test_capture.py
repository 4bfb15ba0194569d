"""The loop of the native engine, with a source that is a list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import orjson
import pytest

from headrace.connectors.cdc.capture import Capture
from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.errors import (
    CaptureError,
    ChangesLostError,
    ConditionRefusedError,
    DatabaseUnavailableError,
)
from headrace.connectors.cdc.progress import (
    Pending,
    Progress,
    make_topics,
    read_progress,
    signals_topic,
)
from headrace.connectors.cdc.signals import SnapshotRequest
from headrace.connectors.cdc.source import Changes, Chunk, Position, SnapshotRow, SourceTable
from headrace.connectors.cdc.tables import TableName
from headrace.connectors.cdc.writer import Writer
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.contracts.capture import Finding
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import FencedError, HeadraceError

TOPIC = "orders"
TABLE = SourceTable(name=TableName("public", "orders"), topic=TOPIC, has_key=True)


def row(key: int, value: str) -> SnapshotRow:
    return SnapshotRow(TOPIC, str(key).encode(), value.encode(), 1)


@dataclass
class ListSource:
    """Transactions as lists of (key, value); the log is their list. Ends the capture when all were sent."""

    stopped: Event
    log: list[list[tuple[int, str]]]
    rows: list[SnapshotRow] = field(default_factory=list)
    chunks: dict[str, Chunk] = field(default_factory=dict)
    lost: HeadraceError | None = None
    confirmed: list[Position] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    fail_at: int | None = None
    at: int = 0

    def open(self) -> None:
        self.calls.append("open")

    def identity(self) -> Mapping[str, Any]:
        return {"system": "list"}

    def begin(self, *, again: bool) -> Mapping[str, Any]:
        self.calls.append(f"begin again={again}")
        return {"lsn": 0}

    def verify(self, identity: Mapping[str, Any], position: Position, known: Sequence[str]) -> None:
        self.calls.append("verify")
        if self.lost is not None:
            raise self.lost

    def tables(self) -> Sequence[SourceTable]:
        return [TABLE]

    def added(self, known: Sequence[str]) -> Sequence[SourceTable]:
        return [] if str(TABLE.name) in known else [TABLE]

    def snapshot(
        self, table: SourceTable, where: str | None
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        for i, one in enumerate(self.rows):
            yield [one], [i]

    def end_snapshot(self) -> None:
        self.calls.append("end_snapshot")

    def start(self, position: Position) -> None:
        self.at = position.after["lsn"]

    def poll(self, changes: Changes, timeout_s: float) -> None:
        if self.fail_at == self.at:
            self.fail_at = None
            raise DatabaseUnavailableError("gone")
        if self.at >= len(self.log):
            self.stopped.set()
            return
        transaction = self.log[self.at]
        passed = changes.begin(str(self.at))
        for key, value in transaction[passed:]:
            changes.write(TOPIC, str(key).encode(), value.encode(), 1)
            changes.changed()
            if changes.is_full:
                return
        self.at += 1
        changes.end({"lsn": self.at})

    def confirm(self, position: Position) -> None:
        self.confirmed.append(position)

    def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk:
        self.conditions.append(where)
        return self.chunks[str(cursor)]

    def try_condition(self, table: SourceTable, where: str) -> None:
        """Every condition will do."""

    def has_reached(self, until: Any) -> bool:
        return bool(self.at >= until)

    def heartbeat(self, known: Sequence[str]) -> None:
        pass

    def figures(self) -> Mapping[str, float]:
        return {}

    def notes(self) -> Sequence[str]:
        return []

    def check(self) -> Sequence[Finding]:
        return []

    def drop(self) -> Sequence[str]:
        return []

    def close(self) -> None:
        self.calls.append("close")


class World:
    """A broker in memory, and what a capture needs of it."""

    def __init__(self, **config: Any) -> None:
        self.broker = MemoryBroker()
        self.clock = ManualClock(1_000)
        self.stopped = Event()
        self.reports: list[Any] = []
        self.config = CdcConfig.model_validate(
            {"url": "postgresql://db", "tables": ["orders"], **config}
        )
        self.place = FeedPlace(
            "headrace.shop.changes", "shop", "changes", {}, self.broker, {}, self.clock, self.stopped,
            self.reports.append,
        )  # fmt: skip
        make_topics(self.place)
        self.broker.admin().create([NewTopic(name=TOPIC, partitions=1)])

    def source(self, *log: list[tuple[int, str]], **given: Any) -> ListSource:
        self.stopped.clear()
        return ListSource(self.stopped, list(log), **given)

    def run(self, source: ListSource, *, is_first: bool = True) -> Writer:
        producer = self.place.producer()
        producer.init_transactions(1)
        writer = Writer(
            producer, self.broker, self.place.name,
            batch_rows=self.config.batch_rows, batch_bytes=self.config.batch_bytes,
        )  # fmt: skip
        Capture(self.config, self.place, source, writer, read_progress(self.place)).run(
            is_first=is_first
        )
        return writer

    def records(self) -> list[tuple[int, str]]:
        reader = self.broker.reader("test")
        reader.assign({TopicPartition(TOPIC, 0): 0})
        return [
            (int(one.key() or b""), (one.value() or b"").decode()) for one in reader.read(1000, 0)
        ]

    def stored(self) -> Progress:
        progress = read_progress(self.place)
        assert progress is not None
        return progress


def test_a_first_capture_reads_the_rows_then_the_changes() -> None:
    world = World()
    source = world.source([(1, "b")], [(2, "c")], rows=[row(1, "a")])

    world.run(source)

    assert world.records() == [(1, "a"), (1, "b"), (2, "c")]
    assert world.stored().position == Position({"lsn": 2})
    assert world.stored().phase == "streaming"
    assert source.confirmed[-1] == Position({"lsn": 2})
    assert source.calls == ["open", "begin again=False", "end_snapshot"]


def test_a_later_capture_verifies_and_goes_on() -> None:
    world = World()
    log = [[(1, "a")], [(2, "b")]]
    world.run(world.source(*log[:1]))
    source = world.source(*log)

    world.run(source)

    assert world.records() == [(1, "a"), (2, "b")]
    assert source.calls == ["open", "verify"]


def test_large_transactions_are_cut_and_go_on_within() -> None:
    world = World(batch_rows=2, snapshot="never")
    big = [(i, "x") for i in range(5)]
    source = world.source(big, [(9, "y")])

    world.run(source)

    assert world.records() == [*big, (9, "y")]
    assert source.confirmed[:3] == [
        Position({"lsn": 0}, "0", 2),
        Position({"lsn": 0}, "0", 4),
        Position({"lsn": 1}),
    ]


def test_after_a_failure_within_a_transaction_only_its_rest_is_sent() -> None:
    world = World(batch_rows=2, snapshot="never")
    big = [(i, "x") for i in range(5)]

    class Breaking(ListSource):
        def confirm(self, position: Position) -> None:
            if position.changes == 2:
                raise DatabaseUnavailableError("gone")

    with pytest.raises(DatabaseUnavailableError):
        world.run(Breaking(world.stopped, [big]))
    world.run(world.source(big))

    assert world.records() == big


def test_changes_that_were_not_committed_are_not_confirmed() -> None:
    world = World(snapshot="never")
    world.run(world.source())
    world.broker.faults.fail_next_commit()
    source = world.source([(1, "a")])

    with pytest.raises(HeadraceError):
        world.run(source)

    assert source.confirmed == []
    assert world.records() == []


def test_a_crash_before_the_capture_began_in_the_database_begins_again() -> None:
    world = World()
    producer = world.place.producer()
    producer.init_transactions(1)
    writer = Writer(producer, world.broker, world.place.name, batch_rows=1, batch_bytes=1)
    writer.commit(Progress("beginning", {}))
    source = world.source()

    world.run(source)

    assert source.calls[1] == "begin again=True"


def test_a_snapshot_that_was_cut_short_goes_on_in_chunks() -> None:
    world = World()
    producer = world.place.producer()
    producer.init_transactions(1)
    writer = Writer(producer, world.broker, world.place.name, batch_rows=1, batch_bytes=1)
    pending = {str(TABLE.name): Pending(cursor=[4], rows=4)}
    tables = [str(TABLE.name)]
    writer.commit(Progress("snapshot", {}, Position({"lsn": 0}), tables, pending))
    chunk = Chunk([row(5, "old"), row(6, "old")], None, until=2)
    source = world.source([(1, "a")], [(6, "new")], [(7, "b")], chunks={"[4]": chunk})

    world.run(source)

    assert world.records() == [(1, "a"), (6, "new"), (5, "old"), (7, "b")]
    assert world.stored().pending == {}


class Refusing(ListSource):
    """Refuses every condition."""

    def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk:
        if where is not None:
            raise ConditionRefusedError("division by zero")
        return super().chunk(table, cursor, count, where)


def refusing(world: World, *log: list[tuple[int, str]], **given: Any) -> Refusing:
    world.stopped.clear()
    return Refusing(world.stopped, list(log), **given)


def ask(world: World, where: str | None = None) -> None:
    """As `headrace cdc snapshot` does."""
    producer = world.place.producer(is_transactional=False)
    request = SnapshotRequest((str(TABLE.name),), where)
    producer.produce(signals_topic(world.place.name), request.encoded())
    producer.flush(1)


def waiting_for(world: World, pending: Pending) -> None:
    """Leave a capture behind that was still reading a table."""
    writer = world.run(world.source())
    progress = world.stored()
    progress.pending = {str(TABLE.name): pending}
    writer.commit(progress)


def test_a_request_that_the_database_refuses_is_given_up_and_the_capture_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    waiting_for(world, Pending(where="1 / 0 > n"))

    world.run(refusing(world, [(1, "a")]))
    stored = world.stored()

    text = (
        "the snapshot of public.orders where 1 / 0 > n was given up after 0 rows: division by zero; ask for it again with"
        " another condition"
    )
    assert world.records() == [(1, "a")]
    assert (stored.pending, stored.given_up) == ({}, {"public.orders": text})
    assert caplog.messages == [f"flow 'shop': 'changes': {text}"]


def test_a_request_that_was_given_up_is_told_until_it_is_made_again() -> None:
    world = World()
    waiting_for(world, Pending(where="1 / 0 > n"))
    world.run(refusing(world))
    before = list(world.stored().given_up)
    ask(world)
    chunk = Chunk([row(1, "a")], None, until=0)
    world.run(world.source([(2, "b")], [(3, "c")], chunks={"None": chunk}))

    assert before == ["public.orders"]
    assert world.stored().given_up == {}


def test_rows_that_nobody_asked_for_are_owed_so_that_their_condition_ends_the_capture() -> None:
    world = World(snapshot_where={"orders": "1 / 0 > n"})
    waiting_for(world, Pending(is_owed=True))

    with pytest.raises(CaptureError, match=r"where 1 / 0 > n: .*; mend 'snapshot_where'"):
        world.run(refusing(world))

    assert list(world.stored().pending) == ["public.orders"]


def test_a_condition_of_the_config_that_was_mended_holds_for_rows_that_are_still_owed() -> None:
    world = World(snapshot_where={"orders": "n > 4"})
    waiting_for(world, Pending(is_owed=True))
    chunk = Chunk([row(5, "old")], None, until=0)
    source = world.source([(1, "a")], chunks={"None": chunk})

    world.run(source)

    assert source.conditions == ["n > 4"]
    assert (5, "old") in world.records()


@pytest.mark.parametrize(
    ("configured", "condition"), [({}, None), ({"orders": "n > 4"}, "(n > 4) or (n < 2)")]
)
def test_a_request_for_rows_of_a_table_that_is_still_owed_leaves_none_out(
    configured: dict[str, str], condition: str | None
) -> None:
    world = World(snapshot_where=configured)
    waiting_for(world, Pending(cursor=[9], is_owed=True))
    ask(world, "n < 2")
    chunk = Chunk([], None, until=0)
    log = [[(1, "a")], [(2, "b")], [(3, "c")]]
    source = world.source(*log, chunks={"[9]": Chunk([], None, until=9), "None": chunk})

    world.run(source)

    assert source.conditions[-1] == condition


def test_a_refused_request_for_a_table_that_is_still_owed_leaves_the_rows_that_are() -> None:
    world = World(snapshot_where={"orders": "n > 4"})
    waiting_for(world, Pending(where="1 / 0 > n", is_owed=True))

    class RefusingOne(Refusing):
        def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk:
            return super().chunk(table, cursor, count, where if "1 / 0" in str(where) else None)

    world.stopped.clear()
    chunk = Chunk([row(5, "old")], None, until=0)
    log = [[(1, "a")], [(2, "b")]]
    world.run(RefusingOne(world.stopped, log, chunks={"None": chunk}))

    assert (5, "old") in world.records()
    assert list(world.stored().given_up) == ["public.orders"]


def test_progress_of_an_older_version_can_be_read() -> None:
    progress = Progress("streaming", {}, Position({"lsn": 5}), ["t"], {"t": Pending([1], "x > 1")})
    older = orjson.loads(progress.encoded())
    del older["given_up"], older["pending"]["t"]["is_owed"]

    assert Progress.decoded(orjson.dumps(older)) == progress


def test_lost_changes_stop_the_capture_unless_a_snapshot_is_allowed() -> None:
    world = World()
    world.run(world.source())
    lost = ChangesLostError("slot_missing", "gone")

    with pytest.raises(ChangesLostError):
        world.run(world.source(lost=lost))

    again = World(snapshot="when_needed")
    again.run(again.source())
    source = again.source(lost=lost)
    again.run(source)
    assert source.calls[1:3] == ["verify", "begin again=True"]


def test_always_reads_the_rows_again_at_every_start() -> None:
    world = World(snapshot="always")
    world.run(world.source(rows=[row(1, "a")]))
    chunk = Chunk([row(1, "a")], None, until=0)
    source = world.source([(2, "b")], [(3, "c")], chunks={"None": chunk})

    world.run(source)

    assert (1, "a") in world.records()[1:]


def test_a_tables_rows_are_held_until_the_stream_has_come_to_them() -> None:
    world = World(snapshot="never")
    writer = world.run(world.source())

    writer.hold([row(1, "old"), row(2, "old")])
    writer.write(TOPIC, b"1", b"new", 1)

    assert writer.release() == 1


def test_a_truncate_drops_the_rows_that_are_held() -> None:
    world = World(snapshot="never")
    writer = world.run(world.source())

    writer.hold([row(1, "old"), row(2, "old")])
    writer.write(TOPIC, None, b"truncated", 1, 0)

    assert writer.release() == 0


def test_a_fenced_capture_ends() -> None:
    world = World(snapshot="never")
    writer = world.run(world.source())
    world.place.producer().init_transactions(1)

    with pytest.raises(FencedError):
        writer.commit(Progress("streaming", {}))


def test_progress_reads_what_it_wrote_and_refuses_what_it_does_not_know() -> None:
    progress = Progress(
        "snapshot",
        {"a": 1},
        Position({"lsn": 5}, "7", 2),
        ["t"],
        {"t": Pending([1], "x > 1", 3)},
        4,
    )

    assert Progress.decoded(progress.encoded()) == progress
    with pytest.raises(HeadraceError, match="its format is 2"):
        Progress.decoded(orjson.dumps({**orjson.loads(progress.encoded()), "version": 2}))


def test_a_record_that_is_refused_is_told_by_its_size_and_topic() -> None:
    world = World(snapshot="never")
    writer = world.run(world.source())

    with pytest.raises(CaptureError, match="1,000,001 bytes for topic 'orders'"):
        writer.write(TOPIC, b"1", b"x" * 1_000_001, 1)
