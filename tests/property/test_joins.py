"""The joins against naive models, on random records in random order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.operators.join import Join
from tests.property.models.joins import (
    Arrival,
    Kind,
    Result,
    Side,
    Streams,
    by_foreign_key,
    row_as_of,
    streams_at_once,
    streams_one_by_one,
    tables,
)
from tests.unit.operators.join.fake_task import FakeTask, action_of

KINDS: st.SearchStrategy[Kind] = st.sampled_from(("inner", "left", "outer"))
SIDES: st.SearchStrategy[Side] = st.sampled_from(("left", "right"))
TIMES = st.integers(0, 60)
STEPS = st.integers(-12, 15)
"""From one record to the next: forth more than back, so that many are out of order and few are too late."""
SENDERS = {"left": "a", "right": "b"}
FAR_MS = 10_000


@st.composite
def stream_joins(draw: st.DrawFn) -> Streams:
    lengths = st.integers(0, 12)
    return Streams(draw(KINDS), draw(lengths), draw(lengths), draw(st.sampled_from((0, 0, 5, 20))))


@st.composite
def arrivals(draw: st.DrawFn, deletes: bool = False) -> list[Arrival]:
    pairs = draw(st.lists(st.tuples(SIDES, STEPS, st.booleans()), max_size=30))
    found: list[Arrival] = []
    time_ms = 20
    for i, (side, step_ms, is_deleted) in enumerate(pairs):
        time_ms = max(time_ms + step_ms, 0)
        found.append(Arrival(side, None if deletes and is_deleted else i, time_ms))
    return found


def task_of(**config: Any) -> FakeTask:
    config = {"left": "a", "right": "b", **config}
    inputs = ("a", "b") if config["right"] == "b" else ("a",)
    return FakeTask(action_of(Join, config, inputs))


def stream_task(join: Streams) -> FakeTask:
    return task_of(
        type=join.kind,
        within={"before": f"{join.before_ms}ms", "after": f"{join.after_ms}ms"},
        grace=f"{join.grace_ms}ms",
    )


def results(task: FakeTask) -> list[Result | None]:
    return [
        None if event is None else (event["left"], event["right"], time_ms)
        for event, time_ms in task.take()
    ]


@given(stream_joins(), arrivals())
def test_streams_give_what_each_arrival_gives_in_the_model(
    join: Streams, records: list[Arrival]
) -> None:
    task = stream_task(join)
    steps = []
    for record in records:
        task.record(SENDERS[record.side], record.event, record.time_ms)
        steps.append(results(task))
    task.advance(FAR_MS)
    steps.append(results(task))

    expected, late = streams_one_by_one(join, records, FAR_MS)
    assert steps == expected
    assert task.late == late


@given(stream_joins(), arrivals())
def test_streams_give_the_batch_result_when_nothing_is_later_than_the_grace(
    join: Streams, records: list[Arrival]
) -> None:
    task = stream_task(join)
    taken = []
    for record in records:
        if record.time_ms + join.grace_ms >= task.watermark_ms:
            task.record(SENDERS[record.side], record.event, record.time_ms)
            taken.append(record)
    task.advance(FAR_MS)

    assert sorted(map(repr, results(task))) == sorted(map(repr, streams_at_once(join, taken)))
    assert task.late == []


@given(stream_joins(), arrivals())
def test_streams_leave_nothing_behind_once_the_watermark_has_passed(
    join: Streams, records: list[Arrival]
) -> None:
    task = stream_task(join)
    for record in records:
        task.record(SENDERS[record.side], record.event, record.time_ms)
        assert len(task.timers) <= 1
    task.advance(FAR_MS)

    assert task.state == {}
    assert task.timers == {}


@given(KINDS, arrivals(deletes=True))
def test_tables_give_every_change_of_the_model(kind: Kind, records: list[Arrival]) -> None:
    task = task_of(type=kind, **{"as": {"left": "table", "right": "table"}})
    for record in records:
        task.record(SENDERS[record.side], record.event, record.time_ms)

    assert results(task) == tables(kind, records)


KEYS = st.sampled_from((b"1", b"2", b"\xff"))
CHANGES = st.one_of(
    st.tuples(st.just("a"), KEYS, st.none() | st.sampled_from((None, "1", "2", "x"))),
    st.tuples(st.just("b"), KEYS, st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 10), st.none()),
)


@given(
    st.sampled_from(("inner", "left")),
    st.lists(st.tuples(CHANGES, st.booleans()), max_size=40),
)
@settings(max_examples=300)
def test_a_foreign_key_join_ends_with_the_model_in_whatever_order_its_messages_come(
    kind: Kind, changes: list[tuple[Any, bool]]
) -> None:
    task = task_of(type=kind, foreign_key="event.by", **{"as": {"left": "table", "right": "table"}})
    left: dict[bytes, tuple[Any, bytes | None]] = {}
    right: dict[bytes, Any] = {}
    for i, ((what, where, change), is_deleted) in enumerate(changes):
        if what == "deliver":
            senders = sorted(key for key, events in task.sent.items() if events)
            if senders:
                task.deliver(senders[where % len(senders)])
        elif what == "a":
            row = None if is_deleted else {"n": i % 2, "by": change}
            left.pop(where, None)
            if row is not None:
                left[where] = (row, None if change is None else change.encode())
            task.record("a", row, i, where)
        else:
            right.pop(where, None)
            if not is_deleted:
                right[where] = {"n": i}
            task.record("b", None if is_deleted else {"n": i}, i, where)
    task.deliver()

    found: dict[bytes, Any] = {}
    for one in task.forwarded:
        if one.event is None:
            assert one.key in found, "a deletion of a result that was not there"
            del found[one.key]
        else:
            found[one.key] = (one.event["left"], one.event["right"])
    assert found == by_foreign_key(kind, left, right)
    subscriptions = {(key, name) for key, name in task.state if name.startswith("s")}
    assert len(subscriptions) == sum(by is not None for _, by in left.values())


@given(arrivals(deletes=True), st.lists(st.tuples(TIMES, st.booleans()), max_size=20))
def test_as_of_finds_the_row_that_was_valid_whatever_the_order_of_versions(
    versions: list[Arrival], asked: list[tuple[int, bool]]
) -> None:
    task = task_of(type="left", as_of=True, history="1h", right={"table": "rows"})
    for version in versions:
        task.row(version.event, version.time_ms)
    for time_ms, _ in asked:
        task.record("a", {"t": time_ms}, time_ms)

    assert [found["right"] for found, _ in task.take()] == [
        row_as_of(versions, time_ms) for time_ms, _ in asked
    ]


@given(arrivals(deletes=True), st.integers(0, 40))
def test_as_of_finds_the_valid_row_or_calls_the_record_late_however_short_the_history(
    records: list[Arrival], history_ms: int
) -> None:
    """Left arrivals are records, right ones are versions; a version that is replaced before the history begins is late.

    Left out are versions older than the history that come after a deletion, which may be forgotten by then.
    """
    task = task_of(type="left", as_of=True, history=f"{history_ms}ms", right={"table": "rows"})
    versions: list[Arrival] = []
    expected: list[Result | None] = []
    late: list[Any] = []
    for i, record in enumerate(records):
        horizon = max(task.watermark_ms, record.time_ms) - history_ms
        if record.side == "right":
            replacing = [old for old in versions if record.time_ms < old.time_ms <= horizon]
            if record.time_ms >= horizon or not any(old.event is None for old in versions):
                task.row(record.event, record.time_ms)
                versions += [] if replacing else [record]
                late += [record.event] if replacing else []
            continue
        task.record("a", i, record.time_ms)
        if record.time_ms < horizon:
            late.append(i)
        else:
            expected.append((i, row_as_of(versions, record.time_ms), record.time_ms))
    task.advance(FAR_MS)

    assert results(task) == expected
    assert task.late == late
    assert len(task.state) <= 1


@given(arrivals(deletes=True), st.integers(1, 30))
def test_a_record_that_waits_sees_what_came_until_the_watermark_was_so_far(
    records: list[Arrival], wait_ms: int
) -> None:
    """Left arrivals are records, right ones are versions."""
    task = task_of(
        type="left", as_of=True, history="1h", wait=f"{wait_ms}ms", right={"table": "rows"}
    )
    expected: list[Result | None] = []
    watermark = -1
    versions: list[Arrival] = []
    held: list[tuple[int, int]] = []
    for i, record in enumerate([*records, Arrival("right", None, FAR_MS)]):
        watermark = max(watermark, record.time_ms)
        if record.side == "left":
            held.append((record.time_ms, i))
            task.record("a", i, record.time_ms)
        released = [one for one in sorted(held) if one[0] + wait_ms <= watermark]
        held = [one for one in held if one not in released]
        expected += [(n, row_as_of(versions, time_ms), time_ms) for time_ms, n in released]
        if record.side == "right":
            versions.append(record)
            task.row(record.event, record.time_ms)

    assert results(task) == expected
    assert {name[0] for _, name in task.state} <= {"v"}
