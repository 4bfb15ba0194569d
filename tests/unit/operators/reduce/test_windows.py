"""Windows that follow the records: sessions, sliding windows, count windows."""

from typing import Any

import pytest

from headrace.operators.reduce import Reduce
from tests.unit.operators.keyed_world import KeyedWorld

N = {"n": "count()"}
IDS = {"ids": 'collect(event.id, 100, "last")'}


def world_of(window: dict[str, Any], aggregate: dict[str, str] = N, **config: Any) -> KeyedWorld:
    return KeyedWorld(Reduce, window=window, aggregate=aggregate, **config)


def result(start: int, end: int, **fields: Any) -> dict[str, Any]:
    return {"key": "k", "start": start, "end": end, **fields}


def test_records_exactly_a_gap_apart_are_one_session() -> None:
    world = world_of({"session": "10ms"}, emit="final")

    world.record({}, at=100)
    world.record({}, at=110)
    world.record({}, at=121)
    world.advance_watermark(132)

    assert world.events == [result(100, 110, n=2), result(121, 121, n=1)]


def test_the_event_time_of_a_session_is_that_of_its_last_record() -> None:
    world = world_of({"session": "10ms"}, emit="final", grace="5ms")

    world.record({}, at=100)
    world.advance_watermark(115)
    assert not world.forwards
    world.advance_watermark(116)

    assert world.forwards[0].timestamp_ms == 100
    assert 116 - world.forwards[0].timestamp_ms <= world.action.delay_ms


def test_a_record_in_between_makes_one_session_of_two() -> None:
    world = world_of({"session": "10ms"}, IDS, emit="final", grace="1s")

    for time, name in ((100, "a"), (120, "c"), (110, "b")):
        world.record({"id": name}, at=time)
    world.advance_watermark(10_000)

    assert world.events == [result(100, 120, ids=["a", "b", "c"])]


def test_a_session_that_was_sent_is_taken_back_when_another_takes_it_in() -> None:
    world = world_of({"session": "10ms"}, grace="1s")
    world.record({}, at=100)
    world.record({}, at=120)
    world.commit()
    assert world.events == [result(100, 100, n=1), result(120, 120, n=1)]

    world.record({}, at=110)
    world.commit()

    assert world.events == [
        result(120, 120, n=None, merged_into=100),
        result(100, 120, n=3),
    ]


def test_a_session_that_begins_earlier_than_was_sent_replaces_that_result() -> None:
    world = world_of({"session": "10ms"}, grace="1s")
    world.record({}, at=100)
    world.commit()
    assert world.events == [result(100, 100, n=1)]

    world.record({}, at=95)
    world.record({}, at=90)
    world.commit()

    assert world.events == [result(100, 100, n=None, merged_into=90), result(90, 100, n=3)]


def test_a_session_that_nobody_was_told_of_is_not_taken_back() -> None:
    world = world_of({"session": "10ms"}, grace="1s")

    for time in (100, 120, 110):
        world.record({}, at=time)
    world.commit()
    world.commit()

    assert world.events == [result(100, 120, n=3)]


def test_a_late_record_joins_an_open_session_and_none_else() -> None:
    world = world_of({"session": "10ms"}, emit="final")

    world.record({}, at=100)
    world.record({}, at=108)
    world.record({"id": "in"}, at=91)
    world.record({"id": "out"}, at=80)
    world.advance_watermark(1_000)

    assert world.events == [result(91, 108, n=3)]
    assert world.late == [{"id": "out"}]


def test_a_refused_record_changes_no_session() -> None:
    world = world_of({"session": "10ms"}, {"total": "sum(event.v)"}, emit="final")

    world.record({"v": 1}, at=100)
    world.record({"v": "x"}, at=105)
    world.advance_watermark(111)

    assert world.events == [result(100, 100, total=1)]
    assert world.refused == ["sum(event.v) takes numbers, found text"]


@pytest.mark.parametrize("window", [{"session": "10ms"}, {"sliding": "10ms"}])
def test_a_window_whose_result_failed_closes_with_the_next_record(window: dict[str, Any]) -> None:
    world = world_of(window, emit="final")
    world.record({}, at=100)
    world.timers.clear()  # what is left when the call of a timer fails
    world.advance_watermark(200)
    assert not world.forwards

    world.record({}, at=300)

    assert [(event["end"], event["n"]) for event in world.events] == [(100, 1)]


@pytest.mark.parametrize(
    ("window", "sent"),
    [({"session": "1h"}, result(100, 200, n=2)), ({"count": 5}, result(100, 200, n=2))],
)
def test_open_windows_close_when_no_records_come(
    window: dict[str, Any], sent: dict[str, Any]
) -> None:
    config: dict[str, Any] = {} if "count" in window else {"emit": "final"}
    world = world_of(window, close={"idle": "30s"}, **config)

    world.record({}, at=100)
    world.advance(20_000)
    world.record({}, at=200)
    world.advance(29_999)
    assert not world.forwards
    world.advance(1)

    assert world.events == [sent]
    assert (world.entries, world.timers) == ({}, {})


def test_sliding_windows_close_when_no_records_come_and_what_comes_for_them_later_is_late() -> None:
    world = world_of({"sliding": "10ms"}, close={"idle": "30s"}, emit="final", grace="1h")

    world.record({}, at=100)
    world.record({}, at=105)
    world.advance(30_000)
    world.record({"id": "late"}, at=105)
    world.record({}, at=106)
    world.advance_watermark(100_000_000)

    assert world.events == [result(90, 100, n=1), result(95, 105, n=2), result(96, 106, n=3)]
    assert world.late == [{"id": "late"}]
    assert (world.entries, world.timers) == ({}, {})


@pytest.mark.parametrize("window", [{"session": "10ms"}, {"sliding": "10ms"}])
def test_windows_close_by_the_clock(window: dict[str, Any]) -> None:
    world = world_of(window, emit="final", close="wall", grace="5s")
    now = world.now_ms

    world.record({}, at=now)
    world.advance_watermark(now + 1_000_000)
    assert not world.forwards
    world.advance(6_000)

    assert [event["n"] for event in world.events] == [1]
    assert (world.entries, world.timers) == ({}, {})


@pytest.mark.parametrize("window", [{"session": "10s"}, {"sliding": "10s"}])
def test_early_results_come_every_so_often_before_the_final_one(window: dict[str, Any]) -> None:
    world = world_of(window, emit={"every": "1s"})

    world.record({}, at=100)
    world.record({}, at=100)
    world.advance(1_000)
    assert [event["n"] for event in world.events] == [2]
    world.advance(5_000)
    assert world.events == []
    world.record({}, at=100)
    world.commit()
    assert world.events == []
    world.advance(1_000)
    assert [event["n"] for event in world.events] == [3]
    world.advance_watermark(20_000)

    assert [event["n"] for event in world.events] == [3]
    assert (world.entries, world.timers) == ({}, {})


def test_a_record_between_others_changes_the_sliding_windows_behind_it() -> None:
    world = world_of({"sliding": "10ms"}, IDS, grace="1s")
    for time, name in ((100, "a"), (108, "c"), (112, "d")):
        world.record({"id": name}, at=time)
    world.commit()
    assert [event["end"] for event in world.events] == [100, 108, 112]

    world.record({"id": "b"}, at=101)
    world.commit()

    assert world.events == [
        result(91, 101, ids=["a", "b"]),
        result(98, 108, ids=["a", "b", "c"]),
    ]


def test_updates_are_sent_before_the_records_that_they_are_made_of_go() -> None:
    world = world_of({"sliding": "10ms"})

    world.record({}, at=100)
    world.advance_watermark(10_000)
    world.commit()

    assert world.events == [result(90, 100, n=1)]
    assert world.entries == {}


def test_a_count_window_has_the_records_as_they_arrive() -> None:
    world = world_of({"count": 2}, IDS)

    for time, name in ((5, "a"), (3, "b"), (9, "c")):
        world.record({"id": name}, at=time)

    assert world.forwards[0].timestamp_ms == 5
    assert world.events == [result(3, 5, ids=["b", "a"])]


def test_count_windows_overlap_and_begin_with_fewer() -> None:
    world = world_of({"count": 4, "every": 2}, IDS)

    for number in range(8):
        world.record({"id": number}, at=number)

    assert [event["ids"] for event in world.events] == [
        [0, 1],
        [0, 1, 2, 3],
        [2, 3, 4, 5],
        [4, 5, 6, 7],
    ]


def test_keys_that_are_no_text_are_bytes_in_results() -> None:
    world = world_of({"count": 1})

    world.record({}, b"\xff", at=1)

    assert world.events == [{"key": b"\xff", "start": 1, "end": 1, "n": 1}]
