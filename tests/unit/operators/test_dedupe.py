"""`dedupe`: which records pass, and what is kept of them."""

from typing import Any

import pytest

from headrace.operators.dedupe import Dedupe
from tests.unit.operators.keyed_world import KeyedWorld, action_of


def passed(*records: tuple[int, Any], **config: Any) -> list[Any]:
    """The times of the records (time, identity) that pass."""
    world = KeyedWorld(Dedupe, by="event.id", **config)
    for at, identity in records:
        world.record({"id": identity, "at": at}, at=at)
    return [event["at"] for event in world.events]


def test_duplicates_within_the_time_are_dropped() -> None:
    assert passed((0, 1), (5, 2), (999, 1), (1_000, 1), (1_999, 1), within="1s") == [0, 5, 1_000]


def test_with_refresh_every_duplicate_begins_the_time_anew() -> None:
    records = [(0, 1), (900, 1), (1_800, 1), (2_800, 1)]

    assert passed(*records, within="1s", refresh=True) == [0, 2_800]


def test_a_duplicate_that_comes_late_is_dropped_by_its_event_time() -> None:
    assert passed((5_000, 1), (4_500, 1), (3_900, 1), within="1s") == [5_000, 3_900]


def test_what_was_seen_is_remembered_for_records_that_come_late() -> None:
    assert passed((1_000, 1), (2_500, 2), (1_600, 1), within="1s") == [1_000, 2_500]


def test_a_late_record_is_remembered_too() -> None:
    assert passed((90_000, 2), (3_000, 1), (3_000, 1), within="1s") == [90_000, 3_000]


def test_without_by_the_key_is_the_identity() -> None:
    world = KeyedWorld(Dedupe, within="1s")
    for key in (b"a", b"b", b"a"):
        world.record(key.decode(), key)

    assert world.events == ["a", "b"]


def test_identities_are_told_apart_by_kind_and_compared_by_value() -> None:
    same = [{"a": 1, "b": [2]}, {"b": [2], "a": 1}]
    different = [1, "1", None, True, "x" * 200, "x" * 201]

    assert passed(*enumerate(same), within="1s") == [0]
    assert passed(*enumerate(different), within="1s") == list(range(6))


def test_entries_go_when_their_time_is_over() -> None:
    world = KeyedWorld(Dedupe, by="event", within="1s")
    for at in range(50):
        world.record(at, at=at)
    world.advance_watermark(2_049)

    assert world.live() == {}


def test_of_more_identities_than_the_bound_the_oldest_is_forgotten() -> None:
    records = [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "b"), (6, "a")]

    assert passed(*records, max=2) == [1, 2, 4, 6]


def test_with_bound_and_time_nothing_is_left_when_the_time_is_over() -> None:
    world = KeyedWorld(Dedupe, by="event", within="1s", max=3)
    for at, identity in enumerate("abcdeab"):
        world.record(identity, at=at)
    assert len(world.live()) == 7

    world.advance_watermark(2_003)
    assert len(world.live()) == 7
    world.advance_watermark(2_006)

    assert (world.live(), world.timers) == ({}, {})


def test_keep_last_sends_the_last_by_event_time_when_the_time_is_over() -> None:
    world = KeyedWorld(Dedupe, within="1s", keep="last")
    for at in (100, 700, 300):
        world.record(at, at=at)
    assert world.events == []

    world.advance_watermark(1_100)

    assert [(one.event, one.timestamp_ms) for one in world.forwards] == [(700, 700)]
    assert world.live() == {}


def test_keep_last_holds_a_tombstone_as_it_is() -> None:
    world = KeyedWorld(Dedupe, within="1s", keep="last")
    world.record(None, at=100)
    world.advance_watermark(1_100)

    assert world.events == [None]


def test_keep_last_with_refresh_waits_for_the_last_of_all() -> None:
    world = KeyedWorld(Dedupe, within="1s", keep="last", refresh=True)
    for at in (0, 900, 1_800):
        world.record(at, at=at)
    world.advance_watermark(2_799)
    assert world.events == []

    world.advance_watermark(2_800)

    assert world.events == [1_800]


def test_keep_last_counts_a_record_as_late_whose_time_was_over() -> None:
    world = KeyedWorld(Dedupe, within="1s", keep="last")
    world.advance_watermark(5_000)
    world.record("late", at=4_000)
    world.record("on time", at=4_001)
    world.advance_watermark(6_000)

    assert (world.late, world.events) == (["late"], ["on time"])


def test_an_identity_that_cannot_be_told_refuses_the_record() -> None:
    world = KeyedWorld(Dedupe, by="event.id", within="1s")
    world.record({"no": 1})

    assert world.refused == ["by: event has no field 'id'; it has no"]
    assert (world.entries, world.events) == ({}, [])


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "needs 'within'"),
        ({"within": "0s"}, "longer than nothing"),
        ({"max": 1, "by": "event", "refresh": True}, "no 'within' to count anew"),
        ({"max": 1, "by": "event", "keep": "last"}, "keep: last needs 'within'"),
        ({"max": 1, "by": "event", "within": "1s", "keep": "last"}, "'keep: last' and 'max'"),
        ({"max": 1}, "'max' but no 'by'"),
        ({"within": "1s", "by": "headers.x"}, "headers"),
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        action_of(Dedupe, **config)
