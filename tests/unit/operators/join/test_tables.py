"""Two tables, under one key and by a foreign key."""

from typing import Any

import pytest

from headrace.operators.join import Join
from headrace.runtime.errors import RecordError
from tests.unit.operators.join.fake_task import FakeTask, action_of

TABLES = {"left": "table", "right": "table"}


def task_of(**config: Any) -> FakeTask:
    return FakeTask(action_of(Join, {"as": TABLES, **config}))


def foreign(**config: Any) -> FakeTask:
    return task_of(foreign_key="event.by", **config)


def row(by: Any, n: int = 0) -> dict[str, Any]:
    return {"by": by, "n": n}


def test_a_result_follows_either_row_and_ends_with_a_null_event() -> None:
    task = task_of()
    for sender, event, time_ms in (
        ("a", 1, 10), ("b", 2, 5), ("b", 3, 20), ("a", None, 7), ("b", None, 30), ("a", None, 31),
    ):  # fmt: skip
        task.record(sender, event, time_ms)

    assert task.take() == [
        ({"left": 1, "right": 2}, 10),
        ({"left": 1, "right": 3}, 20),
        (None, 20),
    ]
    assert task.state == {}


def test_the_right_table_may_be_a_topic() -> None:
    config = {"as": {"left": "table"}, "right": {"table": "rows"}, "type": "outer"}
    task = FakeTask(action_of(Join, config, ["a"]))
    task.row({"n": 1}, 1)
    task.record("a", b"\x00", 1)

    assert task.take() == [
        ({"left": None, "right": {"n": 1}}, 1),
        ({"left": b"\x00", "right": {"n": 1}}, 1),
    ]


def test_a_left_row_finds_its_right_row_and_follows_it() -> None:
    task = foreign()
    task.record("b", "one", 1, b"1")
    task.record("a", row("1"), 2, b"x")
    task.record("a", row(1), 3, b"y")
    task.deliver()
    task.record("b", "uno", 4, b"1")
    task.deliver()
    task.record("b", None, 5, b"1")
    task.deliver()

    assert [(one.key, one.event and one.event["right"]) for one in task.forwarded] == [
        (b"x", "one"), (b"y", "one"), (b"x", "uno"), (b"y", "uno"), (b"x", None), (b"y", None),
    ]  # fmt: skip
    assert [one.timestamp_ms for one in task.forwarded] == [2, 3, 4, 4, 5, 5]


def test_an_answer_to_an_older_left_row_is_ignored() -> None:
    task = foreign()
    task.record("b", "one", 1, b"1")
    task.record("a", row("1", n=1), 2, b"x")
    task.record("a", row("1", n=2), 3, b"x")
    task.deliver()

    assert [one.event["left"]["n"] for one in task.forwarded] == [2]


def test_a_left_row_that_names_another_right_row_follows_that_one_only() -> None:
    task = foreign()
    task.record("b", "one", 1, b"1")
    task.record("a", row("1"), 2, b"x")
    task.deliver()
    task.record("a", row("2"), 3, b"x")
    task.deliver()
    task.record("b", "uno", 4, b"1")
    task.deliver()

    assert [one.event and one.event["right"] for one in task.forwarded] == ["one", None]


def test_a_left_join_has_a_result_without_a_right_row_and_without_a_foreign_key() -> None:
    task = foreign(type="left")
    task.record("a", row("1"), 2, b"x")
    task.deliver()
    task.record("a", row(None), 3, b"x")
    task.record("a", None, 4, b"x")
    task.deliver()

    assert [one.event and one.event["right"] for one in task.forwarded] == [None, None, None]
    assert [one.event is None for one in task.forwarded] == [False, False, True]
    assert task.state == {}


def test_subscriptions_are_one_entry_each() -> None:
    task = foreign()
    for n in range(3):
        task.record("a", row("1"), n, bytes([200 + n]))
    task.deliver()

    assert sorted(name for key, name in task.state if key == b"1") == ["sÈ", "sÉ", "sÊ"]


def test_a_left_and_a_right_row_of_one_key_do_not_meet() -> None:
    task = foreign()
    task.record("b", "one", 1, b"1")
    task.record("a", row("2"), 2, b"1")
    task.deliver()

    assert task.forwarded == []


@pytest.mark.parametrize("sender", ["a", "b"])
def test_rows_of_bytes_are_refused_where_they_would_travel(sender: str) -> None:
    with pytest.raises(RecordError, match="format: json"):
        foreign().record(sender, b"row", 1)


def test_a_foreign_key_that_fails_says_why() -> None:
    with pytest.raises(RecordError, match="foreign_key: event has no field 'by'"):
        foreign().record("a", {"n": 1}, 1)


def test_only_a_foreign_key_join_sends() -> None:
    assert foreign().action.sends
    assert not task_of().action.sends
