"""`delay`: when records go on."""

from typing import Any

import pytest

from headrace.operators.delay import Delay
from tests.unit.operators.keyed_world import NOW_MS, KeyedWorld, action_of


@pytest.mark.parametrize("config", [{"seconds": 90}, {"wait": "1m30s"}])
def test_records_go_on_after_the_wait(config: dict[str, Any]) -> None:
    world = KeyedWorld(Delay, **config)
    world.record(None, at=7)
    world.advance(60_000)
    world.record({"b": 2}, at=8)
    world.advance(29_999)
    assert world.events == []

    world.advance(60_001)

    assert [(one.event, one.timestamp_ms, one.at_ms - NOW_MS) for one in world.forwards] == [
        (None, 7, 90_000),
        ({"b": 2}, 8, 150_000),
    ]
    assert (world.entries, world.timers) == ({}, {})


def test_until_names_the_moment_and_never_changes_the_order_of_a_key() -> None:
    world = KeyedWorld(Delay, until="event.due")
    for offset in (5_000, 1_000, 9_000):
        world.record({"due": NOW_MS + offset})
    world.record({"due": 5}, b"other")
    world.advance(10_000)

    assert [
        (one.event["due"] - NOW_MS, one.at_ms - NOW_MS) for one in world.forwards if one.key == b"k"
    ] == [
        (5_000, 5_000),
        (1_000, 5_000),
        (9_000, 9_000),
    ]
    assert [one.at_ms for one in world.forwards if one.key == b"other"] == [NOW_MS]


def test_by_event_time_the_watermark_ends_the_wait() -> None:
    world = KeyedWorld(Delay, wait="1s", clock="event")
    world.record("a", at=0)
    world.advance(1_000_000)
    assert world.events == []

    world.record("b", at=1_000)

    assert world.events == ["a"]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"due": "soon"}, "until: needs a moment in milliseconds"),
        ({"due": True}, "until: needs a moment in milliseconds"),
        ({"due": -1}, "until: the moment lies before 1970"),
        ({}, "until: event has no field 'due'"),
    ],
)
def test_a_moment_that_is_none_refuses_the_record(event: Any, error: str) -> None:
    world = KeyedWorld(Delay, until="event.due")
    world.record(event)

    assert world.refused[0].startswith(error)
    assert world.entries == {}


def test_a_record_beyond_the_bound_is_an_error() -> None:
    world = KeyedWorld(Delay, seconds=1, limit=2)
    for number in range(3):
        world.record(number)

    assert world.refused[0].startswith("2 records of this key wait already; raise 'limit'")


@pytest.mark.parametrize("config", [{}, {"seconds": 1, "wait": "1s"}, {"seconds": -1}])
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        action_of(Delay, **config)
