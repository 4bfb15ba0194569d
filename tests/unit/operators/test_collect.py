"""`split` and `collect`: one event into many, and many into one."""

from typing import Any

import orjson
import pytest

from headrace.operators.collect import Collect
from headrace.operators.split import Split
from headrace.runtime.expression import Expression
from tests.unit.operators.emitted import forwarded
from tests.unit.operators.keyed_world import KeyedWorld, action_of


def split(event: Any, **config: Any) -> list[Any]:
    return forwarded(action_of(Split, **config), event)


def parts(total: int, **more: Any) -> list[dict[str, Any]]:
    return [{"n": i, "part": {"id": "r", "index": i, "total": total, **more}} for i in range(total)]


# ---- split


def test_each_item_takes_the_place_of_the_list() -> None:
    made = split({"id": 7, "lines": ["a", "b"]}, items="event.lines")

    assert made == [
        {"id": 7, "lines": "a", "part": {"id": "run", "index": 0, "total": 2}},
        {"id": 7, "lines": "b", "part": {"id": "run", "index": 1, "total": 2}},
    ]


def test_the_item_gets_another_field_or_is_the_event() -> None:
    event = {"lines": [{"a": 1}], "x": 2}

    assert split(event, items="event.lines", into="line", part=None) == [{"x": 2, "line": {"a": 1}}]
    assert split(event, items="event.lines", keep=False, part=None) == [{"a": 1}]
    assert split([1, 2], items="event", keep=False, part=None) == [1, 2]


def test_a_part_of_a_part_knows_its_whole() -> None:
    (outer,) = split({"a": [[1, 2]]}, items="event.a")

    inner = split(outer, items="event.a")

    assert [one["part"]["id"] for one in inner] == ["run/0", "run/0"]
    assert inner[0]["part"]["within"] == {"id": "run", "index": 0, "total": 1}


def test_an_empty_list_goes_to_the_stage_for_it() -> None:
    action = action_of(Split, items="event.a", empty="nothing")

    assert forwarded(action, {"a": []}) == [("nothing", {"a": []})]
    assert forwarded(action_of(Split, items="event.a"), {"a": []}) == []


@pytest.mark.parametrize(
    ("event", "config", "error"),
    [
        ({"a": 1}, {"items": "event.a"}, "items: needs a list, found a number"),
        ([1], {"items": "event", "into": "x"}, "the event is no map"),
        ([1], {"items": "event", "keep": False}, "an item is no map"),
    ],
)
def test_what_cannot_be_split_is_refused(event: Any, config: dict[str, Any], error: str) -> None:
    with pytest.raises(Exception, match=error):
        split(event, **config)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"items": "[event.a]"}, "needs 'into'"),
        ({"items": "event.a", "keep": False, "into": "x"}, "'into' and 'keep: false'"),
        ({"items": "event.a", "part": None, "id": "event.b"}, "written nowhere"),
    ],
)
def test_a_split_that_cannot_work_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        action_of(Split, **config)


# ---- collect


def test_the_parts_of_a_split_come_together_in_their_order() -> None:
    world = KeyedWorld(Collect)
    for event in reversed(parts(3)):
        world.record(event)

    assert world.events == [{"key": "k", "items": [{"n": 0}, {"n": 1}, {"n": 2}], "complete": True}]
    assert (world.entries, world.timers) == ({}, {})


def test_the_key_is_what_split_noted_or_else_the_run() -> None:
    key = action_of(Collect).key("in")  # type: ignore[attr-defined] # a keyed action has it

    assert key == Expression.parse('get(event, "part.id", run.id)')


def test_a_whole_that_is_a_part_itself_is_again_one() -> None:
    outer = {"id": "run", "index": 4, "total": 9}
    world = KeyedWorld(Collect)
    for event in parts(2, within=outer):
        world.record(event)

    assert world.events[0]["part"] == outer


@pytest.mark.parametrize("count", [2, "event.of"])
def test_count_tells_how_many_belong_together(count: Any) -> None:
    world = KeyedWorld(Collect, count=count, item="event.n", order="-event.n")
    for number in range(4):
        world.record({"n": number, "of": 2})

    assert [event["items"] for event in world.events] == [[1, 0], [3, 2]]


def test_complete_looks_at_the_items_so_far() -> None:
    world = KeyedWorld(Collect, complete="sum(items) >= 6")
    for number in range(5):
        world.record(number)

    assert [event["items"] for event in world.events] == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("on_timeout", "went_on"),
    [
        ("emit", [("", {"key": "k", "items": [1], "complete": False})]),
        ("late", [("late", {"key": "k", "items": [1], "complete": False})]),
        ("drop", []),
    ],
)
def test_what_is_not_complete_in_time_goes_where_it_should(on_timeout: str, went_on: Any) -> None:
    world = KeyedWorld(Collect, count=2, timeout="1m", on_timeout=on_timeout)
    world.record(1)
    world.advance(59_999)
    assert world.forwards == []

    world.advance(1)

    assert [(one.to, one.event) for one in world.forwards] == went_on
    assert (world.entries, world.timers) == ({}, {})


@pytest.mark.parametrize(
    ("config", "event", "error"),
    [
        ({}, {"n": 1}, "the event has no field 'part' that 'split' made"),
        ({}, "text", "the event has no field 'part' that 'split' made"),
        ({"count": "event.n"}, {"n": "x"}, "count: needs a number from 1"),
        ({"count": 2, "order": "event.n"}, {"n": None}, "order: needs a number or text"),
    ],
)
def test_an_event_that_belongs_nowhere_is_refused(
    config: dict[str, Any], event: Any, error: str
) -> None:
    world = KeyedWorld(Collect, **config)
    world.record(event)

    assert world.refused[0].startswith(error)
    assert (world.entries, world.timers) == ({}, {})


def test_more_events_than_the_bound_are_refused() -> None:
    world = KeyedWorld(Collect, count=9, limit=2)
    for number in range(3):
        world.record(number)

    assert world.refused == [
        "2 events of this key are held already, and the whole is not complete; raise 'limit'"
    ]


def test_count_and_complete_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="both 'count' and 'complete'"):
        action_of(Collect, count=1, complete="true")


def test_a_split_that_is_written_and_read_again_comes_together() -> None:
    event = {"id": 7, "lines": ["a", "b", "c"]}
    world = KeyedWorld(Collect, item="event.lines")
    for part in split(event, items="event.lines"):
        world.record(orjson.loads(orjson.dumps(part)))

    assert world.events == [{"key": "k", "items": ["a", "b", "c"], "complete": True}]
