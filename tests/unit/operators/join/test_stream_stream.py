"""Two streams, record by record."""

from typing import Any

import pytest

from headrace.operators.join import Join
from headrace.runtime.errors import RecordError
from tests.unit.operators.join.fake_task import FakeTask, action_of


def task_of(**config: Any) -> FakeTask:
    return FakeTask(action_of(Join, {"within": "10ms", **config}))


def test_both_ends_of_the_window_match() -> None:
    task = task_of()
    task.record("a", "left", 100)
    for time_ms in (89, 90, 110, 111):
        task.record("b", time_ms, time_ms)

    assert [(event["right"], time_ms) for event, time_ms in task.take()] == [(90, 100), (110, 110)]


def test_before_and_after_are_seen_from_the_left_record() -> None:
    task = task_of(within={"before": "5ms", "after": "20ms"})
    task.record("b", "early", 94)
    task.record("b", "first", 95)
    task.record("a", "left", 100)
    task.record("b", "last", 120)
    task.record("b", "too late", 121)

    assert [event["right"] for event, _ in task.take()] == ["first", "last"]


def test_every_pair_comes_out_once_in_the_order_of_the_others_times() -> None:
    task = task_of()
    task.record("a", 1, 5)
    task.record("a", 2, 5)
    task.record("a", 3, 4)
    task.record("b", "x", 6)
    task.record("b", "x", 6)

    assert [event["left"] for event, _ in task.take()] == [3, 1, 2, 3, 1, 2]


def test_a_left_record_without_a_match_comes_out_when_the_watermark_has_passed_its_window() -> None:
    task = task_of(type="left", grace="5ms")
    task.record("a", "left", 100)
    task.advance(115)
    before = task.take()
    task.advance(116)
    task.advance(1_000)

    assert before == []
    assert task.take() == [({"left": "left", "right": None}, 100)]


def test_a_record_out_of_order_comes_out_at_the_end_of_its_own_window() -> None:
    task = task_of(type="left", grace="5ms")
    task.record("a", "first", 100)
    task.record("a", "earlier", 95)
    task.advance(111)

    assert task.take() == [({"left": "earlier", "right": None}, 95)]


def test_a_right_record_without_a_match_comes_out_of_an_outer_join_only() -> None:
    left, outer = task_of(type="left"), task_of(type="outer")
    for task in (left, outer):
        task.record("b", "right", 100)
        task.advance(111)

    assert left.take() == []
    assert outer.take() == [({"left": None, "right": "right"}, 100)]


def test_a_record_that_was_reported_without_a_match_does_not_match_later() -> None:
    task = task_of(type="left")
    task.record("a", "left", 100)
    task.advance(111)
    task.record("b", "right", 105)

    assert task.take() == [({"left": "left", "right": None}, 100)]


def test_a_record_whose_window_is_closed_is_late_where_it_would_be_reported() -> None:
    task = task_of(type="left", grace="5ms")
    task.advance(116)
    task.record("a", "in time", 101)
    task.record("a", "late", 100)
    task.record("b", "kept", 91)
    task.record("b", "gone", 90)
    task.advance(1_000)

    assert task.take() == [({"left": "in time", "right": "kept"}, 101)]
    assert task.late == ["late", "gone"]


def test_timers_stay_one_per_key_and_the_state_goes_with_the_last_of_them() -> None:
    task = task_of(type="outer", grace="5ms")
    for time_ms in (100, 90, 130, 95):
        task.record("a", time_ms, time_ms)
        task.record("b", time_ms, time_ms)
    timers = len(task.timers)
    task.advance(1_000)

    assert timers == 1
    assert (task.state, task.timers) == ({}, {})


def test_keys_do_not_meet() -> None:
    task = task_of()
    task.record("a", 1, 5, b"x")
    task.record("b", 2, 5, b"y")

    assert task.take() == []


def test_the_value_is_made_of_both_records_the_key_and_the_time() -> None:
    value = '{"sum": left.n + (0 if right is None else right.n), "key": key, "at": timestamp}'
    task = task_of(type="left", value=value)
    task.record("a", {"n": 1}, 5)
    task.record("b", {"n": 2}, 9)
    task.record("a", {"n": 3}, 100)
    task.advance(111)

    assert task.take() == [
        ({"sum": 3, "key": "k", "at": 9}, 9),
        ({"sum": 3, "key": "k", "at": 100}, 100),
    ]


def test_a_value_that_fails_says_why_in_the_words_of_the_expression_and_changes_nothing() -> None:
    task = task_of(value="left.m")
    task.record("a", {"n": 1}, 5)
    before = dict(task.state)

    with pytest.raises(RecordError, match="value: left has no field 'm'; it has n"):
        task.record("b", {}, 5)
    assert task.state == before


def test_a_null_event_is_an_error_and_not_skipped() -> None:
    with pytest.raises(RecordError, match="a tombstone"):
        task_of().record("a", None, 5)


def test_events_may_be_bytes() -> None:
    task = task_of()
    task.record("a", b"\xff", 5)
    task.record("b", b"", 5)

    assert task.take() == [({"left": b"\xff", "right": b""}, 5)]


def test_results_can_lie_as_far_behind_as_records_are_kept() -> None:
    assert task_of(grace="3ms", within={"before": "1ms", "after": "2ms"}).action.delay_ms == 6
