"""`throttle`: how many pass, and what becomes of the others."""

from typing import Any

import pytest

from headrace.operators.throttle import Throttle
from tests.unit.operators.keyed_world import NOW_MS, KeyedWorld, action_of

SPAN_MS = NOW_MS - NOW_MS % 60_000


def test_so_many_of_each_key_pass_in_each_span_of_event_time() -> None:
    world = KeyedWorld(Throttle, rate=2, per="1s")
    for at in (0, 10, 20, 999, 1_000, 1_001, 1_002, 500):
        world.record(at, at=at)
    world.record("other", b"other", at=20)

    assert world.events == [0, 10, 1_000, 1_001, "other"]


def test_counts_go_when_their_span_is_over() -> None:
    world = KeyedWorld(Throttle, rate=2, per="1s")
    world.record(1, at=0)
    world.advance_watermark(2_000)

    assert world.live() == {}


def test_records_over_the_rate_go_to_the_named_stage() -> None:
    world = KeyedWorld(Throttle, rate=1, per="1m", over="rest")
    for number in range(3):
        world.record(number)

    assert [(one.event, one.to) for one in world.forwards] == [(0, ""), (1, "rest"), (2, "rest")]


def test_delay_holds_records_in_order_until_their_span_comes() -> None:
    world = KeyedWorld(Throttle, rate=2, per="1m", over="delay")
    for number in range(5):
        world.record(number)
    assert world.events == [0, 1]

    world.now_ms = SPAN_MS + 60_000
    world.advance(0)
    assert world.events == [2, 3]
    world.record(5)
    world.advance(60_000)

    assert world.events == [4, 5]
    assert not world.timers


def test_a_record_overtakes_none_that_is_due_but_still_held() -> None:
    world = KeyedWorld(Throttle, rate=1, per="1m", over="delay")
    world.record("passes")
    world.record("held")
    world.now_ms += 60_000
    world.record("comes before the timer")
    world.advance(60_000)

    assert world.events == ["passes", "held", "comes before the timer"]


def test_a_record_beyond_the_bound_of_delay_is_an_error() -> None:
    world = KeyedWorld(Throttle, rate=1, per="1m", over="delay", limit=2)
    for number in range(4):
        world.record(number)

    assert world.refused == [
        "2 records of this key wait already; raise 'limit' or 'rate', or let 'over' drop them"
    ]


def test_only_delay_ends_the_run_of_the_record() -> None:
    given: dict[str, Any] = {"rate": 1, "per": "1m"}

    assert KeyedWorld(Throttle, **given).action.is_per_record
    assert KeyedWorld(Throttle, over="stage", **given).action.outputs() == ("stage",)
    assert not KeyedWorld(Throttle, over="delay", **given).action.is_per_record


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rate": 1, "per": "0s"}, "longer than nothing"),
        ({"rate": 0, "per": "1s"}, "rate"),
        ({"rate": 1, "per": "1s", "over": ""}, "name of a stage"),
        ({"rate": 1, "per": "1s", "limit": 5}, "bounds what 'over: delay' holds"),
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        action_of(Throttle, **config)
