"""A stream and a table, record by record."""

from typing import Any

import pytest

from headrace.operators.join import Join
from headrace.runtime.contracts.action import TableSource
from headrace.runtime.errors import RecordError
from tests.unit.operators.join.fake_task import FakeTask, action_of


def task_of(**config: Any) -> FakeTask:
    return FakeTask(action_of(Join, {"right": {"table": "rows"}, **config}, ["a"]))


def test_a_record_meets_the_row_as_it_is_now() -> None:
    task = task_of()
    task.record("a", 1, 10)
    task.row("old", 20)
    task.row("new", 5)
    task.record("a", 2, 6)
    task.row(None, 30)
    task.record("a", 3, 30)

    assert task.take() == [({"left": 2, "right": "new"}, 6)]


def test_a_left_join_keeps_the_record_without_a_row() -> None:
    task = task_of(type="left")
    task.record("a", 1, 10)

    assert task.take() == [({"left": 1, "right": None}, 10)]


def test_the_records_of_a_stage_are_read_as_a_table() -> None:
    task = FakeTask(action_of(Join, {"as": {"right": "table"}}))
    task.record("b", "row", 1)
    task.record("a", 1, 1)
    task.record("b", None, 1)
    task.record("a", 2, 1)

    assert task.take() == [({"left": 1, "right": "row"}, 1)]
    assert task.action.table() is None


def test_a_record_waits_for_a_row_that_comes_late() -> None:
    task = task_of(wait="10ms", type="left")
    task.record("a", 1, 100)
    task.row("row", 109)
    before = task.take()
    task.record("a", 2, 109)
    task.advance(110)
    released = task.take()
    task.record("a", 3, 100)
    task.advance(1_000)

    assert before == []
    assert released == [({"left": 1, "right": "row"}, 100)]
    assert task.take() == [({"left": 3, "right": "row"}, 100), ({"left": 2, "right": "row"}, 109)]
    assert (task.action.is_per_record, task.action.delay_ms) == (False, 10)


def test_records_out_of_order_each_wait_for_their_own_time() -> None:
    task = task_of(wait="10ms", type="left")
    task.record("a", "first", 100)
    task.record("a", "earlier", 95)
    task.advance(105)

    assert task.take() == [({"left": "earlier", "right": None}, 95)]


def test_as_of_sees_the_row_of_its_time() -> None:
    task = task_of(as_of=True, history="1m", type="left")
    for time_ms, row in ((10, "a"), (30, None), (20, "b"), (40, "c")):
        task.row(row, time_ms)
    for time_ms in (9, 10, 19, 20, 29, 30, 40, 99):
        task.record("a", time_ms, time_ms)

    assert [event["right"] for event, _ in task.take()] == [
        None, "a", "a", "b", "b", None, "c", "c",
    ]  # fmt: skip


def test_a_record_older_than_the_history_is_late() -> None:
    task = task_of(as_of=True, history="20ms")
    task.row("row", 10)
    task.advance(100)
    task.record("a", 80, 80)
    task.record("a", 79, 79)

    assert [event["left"] for event, _ in task.take()] == [80]
    assert task.late == [79]


def test_the_latest_row_is_kept_however_old_and_those_it_replaced_for_the_history() -> None:
    task = task_of(as_of=True, history="20ms")
    task.row("first", 10)
    task.row("second", 30)
    task.advance(49)
    during = len(task.state)
    task.advance(50)
    after = len(task.state)
    task.record("a", 1, 1_000)

    assert (during, after) == (2, 1)
    assert task.take() == [({"left": 1, "right": "second"}, 1_000)]
    assert task.timers == {}


def test_a_deletion_is_forgotten_once_no_record_can_ask_for_the_row_before_it() -> None:
    task = task_of(as_of=True, history="20ms")
    task.row("row", 10)
    task.row(None, 30)
    task.advance(49)
    task.record("a", 1, 29)
    task.advance(50)

    assert task.take() == [({"left": 1, "right": "row"}, 29)]
    assert (task.state, task.timers) == ({}, {})


def test_the_deletion_of_a_row_that_was_never_there_is_forgotten_too() -> None:
    task = task_of(as_of=True, history="20ms")
    task.row(None, 30)
    task.advance(50)

    assert (task.state, task.timers) == ({}, {})


def test_a_row_of_long_ago_counts_when_there_is_no_later_one() -> None:
    task = task_of(as_of=True, history="20ms")
    task.advance(1_000)
    task.row("row", 10)
    task.row("older", 5)
    task.record("a", 1, 1_000)

    assert task.take() == [({"left": 1, "right": "row"}, 1_000)]
    assert task.late == ["older"]


def test_a_global_table_is_looked_up_by_an_expression() -> None:
    task = task_of(right={"table": "rows", "global": True}, left_key="event.id", type="left")
    task.table = {b"7": "seven", b"x": "ex"}
    for row_id in (7, "x", "y", None):
        task.record("a", {"id": row_id}, 1)

    assert [event["right"] for event, _ in task.take()] == ["seven", "ex", None, None]
    assert task.action.key("a") is None
    assert task.action.table() == TableSource(topic="rows", is_global=True)


def test_a_global_table_is_looked_up_by_the_records_own_key() -> None:
    task = task_of(right={"table": "rows", "global": True})
    task.table = {b"k": "row"}
    task.record("a", 1, 1)

    assert task.take() == [({"left": 1, "right": "row"}, 1)]


def test_a_key_that_fails_says_why() -> None:
    task = task_of(right={"table": "rows", "global": True}, left_key="event.id")

    with pytest.raises(RecordError, match="left_key: event has no field 'id'"):
        task.record("a", {"n": 1}, 1)


def test_a_null_event_is_an_error_on_the_left_only() -> None:
    task = task_of()
    task.row(None, 1)

    with pytest.raises(RecordError, match="a tombstone"):
        task.record("a", None, 5)


def test_results_belong_to_the_records_run() -> None:
    assert task_of().action.is_per_record
