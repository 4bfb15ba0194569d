"""`zip`: what is made of the events of several stages."""

from typing import Any

from headrace.operators.zip import Zip
from tests.unit.operators.keyed_world import KeyedWorld, action_of


def test_one_event_of_each_stage_makes_a_list_in_the_order_of_the_document() -> None:
    world = KeyedWorld(Zip, inputs=("orders", "payments", "users"))
    sent: list[tuple[str, Any]] = [
        ("users", "u1"),
        ("orders", "o1"),
        ("orders", "o2"),
        ("payments", None),
        ("payments", "p2"),
        ("users", "u2"),
    ]
    for sender, event in sent:
        world.record(event, sender=sender)

    assert world.events == [["o1", None, "u1"], ["o2", "p2", "u2"]]
    assert world.entries == {}


def test_a_list_has_the_latest_event_time_of_its_events() -> None:
    world = KeyedWorld(Zip, inputs=("a", "b"))
    world.record(1, at=50, sender="a", is_ahead=True)
    world.record(2, at=20, sender="b", is_ahead=True)

    assert [one.timestamp_ms for one in world.forwards] == [50]


def test_a_full_buffer_refuses_the_record_and_names_the_stage() -> None:
    world = KeyedWorld(Zip, inputs=("a", "b", "c"), event_limit=2)
    world.record(0, sender="b")
    for number in range(3):
        world.record(number, sender="a")

    assert world.refused == [
        "2 events of stage 'a' wait already, for one of 'c'; raise 'event_limit' or let both send equally many"
    ]


def test_keys_are_zipped_apart() -> None:
    world = KeyedWorld(Zip, inputs=("a", "b"), key="event.id")
    world.record(1, b"x", sender="a")
    world.record(2, b"y", sender="b")

    assert world.events == []


def test_without_a_key_all_records_have_the_same() -> None:
    together = action_of(Zip).key("a")  # type: ignore[attr-defined] # a keyed action has it
    apart = action_of(Zip, key="event.id").key("a")  # type: ignore[attr-defined] # a keyed action has it

    assert (together.text, apart.text) == ("'all'", "event.id")


def test_a_single_stage_cannot_be_zipped() -> None:
    problems = list(action_of(Zip).check_inputs(["a"]))  # type: ignore[attr-defined] # a keyed action has it

    assert problems == ["needs at least two stages that send to it, one event of each makes a list"]
