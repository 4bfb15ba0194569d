"""`debounce`: when a quiet key goes on, and with what."""

from typing import Any

import pytest

from headrace.operators.debounce import Debounce
from tests.unit.operators.keyed_world import NOW_MS, KeyedWorld, action_of


def test_the_last_record_goes_on_when_the_key_is_quiet() -> None:
    world = KeyedWorld(Debounce, wait="30s")
    for event in ("a", "b"):
        world.record(event)
        world.advance(29_999)
    assert world.events == []

    world.advance(1)

    assert world.events == ["b"]
    assert (world.entries, world.timers) == ({}, {})


def test_keys_do_not_wait_for_each_other() -> None:
    world = KeyedWorld(Debounce, wait="30s")
    world.record("a", b"1")
    world.advance(20_000)
    world.record("b", b"2")
    world.advance(10_000)

    assert [(one.key, one.event) for one in world.forwards] == [(b"1", "a")]


def test_a_key_that_is_never_quiet_goes_on_after_the_longest_wait() -> None:
    world = KeyedWorld(Debounce, wait="30s", max_wait="1m")
    for number in range(7):
        world.record(number)
        world.advance(10_000)

    assert [(one.event, one.at_ms - NOW_MS) for one in world.forwards] == [(5, 60_000)]


@pytest.mark.parametrize(
    ("keep", "made"), [("first", 0), ("last", 2), ("collect", {"key": "k", "items": [0, 1, 2]})]
)
def test_keep_says_what_goes_on(keep: str, made: Any) -> None:
    world = KeyedWorld(Debounce, wait="1s", keep=keep)
    for number in range(3):
        world.record(number)
    world.advance(1_000)

    assert world.events == [made]
    assert world.entries == {}


def test_a_full_burst_goes_on_at_once() -> None:
    world = KeyedWorld(Debounce, wait="1s", keep="collect", max_count=2)
    for number in range(3):
        world.record(number)
    assert world.events == [{"key": "k", "items": [0, 1]}]

    world.advance(1_000)

    assert world.events == [{"key": "k", "items": [2]}]


def test_in_event_time_the_watermark_ends_the_wait() -> None:
    world = KeyedWorld(Debounce, wait="10s", clock="event")
    for at in (1_000, 8_000, 5_000):
        world.record(at, at=at)
    world.advance(1_000_000)
    assert world.events == []

    world.record("next", at=18_000)

    assert [(one.event, one.timestamp_ms) for one in world.forwards] == [(8_000, 8_000)]


def test_tombstones_are_held_as_they_are() -> None:
    world = KeyedWorld(Debounce, wait="1s")
    world.record(None)
    world.advance(1_000)

    assert world.events == [None]


def test_what_waited_is_never_late_for_what_comes_behind() -> None:
    world = KeyedWorld(Debounce, wait="30s")
    world.record("old", at=5_000)
    world.advance_watermark(1_000_000)
    world.advance(30_000)

    assert world.forwards[0].timestamp_ms == 1_000_000 - world.action.delay_ms


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"wait": "0s"}, "longer than nothing"),
        ({"wait": "1m", "max_wait": "30s"}, "shorter than 'wait'"),
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        action_of(Debounce, **config)
