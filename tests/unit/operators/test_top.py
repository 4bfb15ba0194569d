"""`top`: what a ranking holds, and when it is sent."""

from typing import Any

import pytest

from headrace.operators.top import Top
from tests.unit.operators.keyed_world import KeyedWorld, action_of


def ranked(*values: Any, **config: Any) -> Any:
    """The ranking after these values."""
    world = KeyedWorld(Top, **{"by": "event", **config})
    for value in values:
        world.record(value)
    world.commit()
    assert not world.refused
    (result,) = world.events
    return result["items"]


def test_the_largest_or_smallest_come_first() -> None:
    assert ranked(3, 1, 4.5, 1, 5, k=3) == [5, 4.5, 3]
    assert ranked(3, 1, 4.5, 1, 5, k=3, order="smallest") == [1, 1, 3]


@pytest.mark.parametrize("order", ["largest", "smallest"])
@pytest.mark.parametrize("by_id", [{}, {"id": "event.n"}])
def test_of_equals_the_first_that_came_is_first(order: str, by_id: dict[str, str]) -> None:
    events = [{"by": 1, "n": number} for number in range(4)]

    items = ranked(*events, by="event.by", item="event.n", k=3, order=order, **by_id)

    assert items == [0, 1, 2]


def test_a_ranking_is_sent_once_per_commit_and_only_when_it_changed() -> None:
    world = KeyedWorld(Top, by="event", k=2)
    for value in (5, 6, 1):
        world.record(value)
    world.commit()
    assert world.events == [{"key": "k", "items": [6, 5]}]

    world.record(2)
    world.commit()
    assert world.events == []
    world.record(7)
    world.commit()

    assert world.events == [{"key": "k", "items": [7, 6]}]


def test_a_newer_record_of_an_id_replaces_the_older_and_lets_others_up() -> None:
    world = KeyedWorld(Top, by="event.score", id="event.name", item="event.name", k=2)
    for at, (name, score) in enumerate([("a", 10), ("b", 20), ("c", 5), ("b", 1)]):
        world.record({"name": name, "score": score}, at=at)
    world.commit()

    assert world.events[-1]["items"] == ["a", "c"]


def test_an_older_record_of_an_id_that_comes_later_changes_nothing() -> None:
    world = KeyedWorld(Top, by="event.score", id="event.name", k=2)
    world.record({"name": "a", "score": 1}, at=10)
    world.record({"name": "a", "score": 9}, at=5)
    world.commit()

    assert world.events == [{"key": "k", "items": [{"name": "a", "score": 1}]}]


def test_an_id_is_forgotten_after_its_time() -> None:
    world = KeyedWorld(Top, by="event", id="event", ttl="1m", k=2)
    world.record(9, at=0)
    world.advance_watermark(60_000)
    world.record(1, at=60_000)
    world.commit()

    assert world.events == [{"key": "k", "items": [1]}]


@pytest.mark.parametrize("value", [None, True, [1], float("nan")])
def test_what_cannot_be_ranked_is_refused(value: Any) -> None:
    world = KeyedWorld(Top, by="event")
    world.record(value)

    assert world.refused[0].startswith("by: ")
    assert (world.entries, world.asked) == ({}, {})


def test_ttl_needs_ids() -> None:
    with pytest.raises(ValueError, match="'ttl' but no 'id'"):
        action_of(Top, by="event", ttl="1m")
