"""Looking up the rows of a table."""

from typing import Any

import pytest

from headrace.operators.hydrate import Hydrate
from headrace.operators.hydrate_config import HydrateConfig
from headrace.runtime.contracts.action import KeyedAction, TableSource
from headrace.runtime.errors import RecordError
from tests.unit.operators.join.fake_task import FakeTask, action_of

ROW = {"name": "Ada", "age": 36}


def task_of(**config: Any) -> FakeTask:
    return FakeTask(action_of(Hydrate, {"table": "shop.the-users", **config}, ["a"]))


def outcome(row: Any, event: Any = None, **config: Any) -> list[Any]:
    task = task_of(**config)
    task.row(row)
    task.record("a", event or {"id": 1})
    return [event for event, _ in task.take()]


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({}, {"id": 1, "the_users": ROW}),
        ({"into": "user"}, {"id": 1, "user": ROW}),
        ({"into": "user", "select": ["name"]}, {"id": 1, "user": {"name": "Ada"}}),
        ({"merge": True}, {"id": 1, **ROW}),
        ({"merge": True, "select": ["age"]}, {"id": 1, "age": 36}),
    ],
)
def test_the_row_goes_into_the_event(config: dict[str, Any], made: Any) -> None:
    assert outcome(ROW, **config) == [made]


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({}, [{"id": 1, "the_users": None}]),
        ({"missing": "pass", "merge": True}, [{"id": 1}]),
        ({"missing": "drop"}, []),
    ],
)
def test_a_record_without_a_row_is_passed_or_dropped(config: dict[str, Any], made: Any) -> None:
    assert outcome(None, **config) == made


def test_a_record_without_a_row_fails() -> None:
    with pytest.raises(RecordError, match=r"table 'shop.the-users' has no row for the key"):
        outcome(None, missing="fail")


def test_a_record_without_a_row_goes_unchanged_to_a_stage() -> None:
    task = task_of(missing="unknown")
    task.record("a", {"id": 1})

    assert [(one.event, one.to) for one in task.forwarded] == [({"id": 1}, "unknown")]
    assert task.action.outputs() == ("unknown",)


def test_as_of_finds_the_row_of_the_records_time_and_nothing_beyond_the_history() -> None:
    task = task_of(as_of=True, history="50ms", into="n")
    task.row(1, 10)
    task.row(2, 20)
    for time_ms in (19, 20, 100, 20):
        task.record("a", {}, time_ms)

    assert [event["n"] for event, _ in task.take()] == [1, 2, 2, None]
    assert len(task.state) == 1


def test_a_global_table_is_looked_up_without_moving_the_record() -> None:
    task = task_of(**{"global": True}, key="event.id", into="user")
    task.table = {b"1": ROW}
    task.record("a", {"id": 1})

    assert task.take() == [({"id": 1, "user": ROW}, 0)]
    assert task.action.key("a") is None
    assert task.action.table() == TableSource(topic="shop.the-users", is_global=True)


def test_the_key_is_what_records_are_grouped_by() -> None:
    assert str(task_of(key="event.id").action.key("a")) == "event.id"


def test_results_keep_their_runs() -> None:
    assert task_of().action.is_per_record


@pytest.mark.parametrize(
    ("row", "event", "config", "error"),
    [
        (ROW, [1], {}, "hydrate adds to events that are maps, found a list"),
        (
            "x",
            {"id": 1},
            {"merge": True},
            "the row of table 'shop.the-users' is no map, found text",
        ),
        (ROW, {"id": 1}, {"select": ["mail"]}, "has no field 'mail'; it has name, age"),
    ],
)
def test_what_does_not_fit_is_refused(
    row: Any, event: Any, config: dict[str, Any], error: str
) -> None:
    with pytest.raises(RecordError, match=error):
        outcome(row, event, **config)


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({}, "needs one source to look in, of 'table'"),
        ({"table": "a b"}, "table: a topic's name has"),
        ({"table": "t", "into": "x", "merge": True}, "into: "),
        ({"table": "t", "into": ""}, "into: must name a field"),
        ({"table": "t", "as_of": True}, "history: as_of needs"),
        ({"table": "t", "history": "1m"}, "history: keeps replaced rows"),
        ({"table": "t", "global": True, "as_of": True, "history": "1m"}, "as_of: a global table"),
        ({"table": "t", "format": "text", "select": ["x"]}, "select: needs rows with fields"),
        ({"table": "t", "global": True, "key": "run.id"}, "key: mentions 'run'"),
    ],
)
def test_a_config_that_says_no_lookup_is_told_what_to_write(
    config: dict[str, Any], start: str
) -> None:
    action = Hydrate(HydrateConfig.model_validate(config))

    assert [text.startswith(start) for text in action.problems()] == [True]
    assert not isinstance(action.specialised(), KeyedAction)


def test_records_cannot_go_back_to_where_they_came_from() -> None:
    action = Hydrate(HydrateConfig.model_validate({"table": "t", "missing": "a"})).specialised()
    assert isinstance(action, KeyedAction)

    assert len(list(action.check_inputs(["a"]))) == 1


def test_plans_say_what_is_looked_up() -> None:
    action = task_of(key="event.id", select=["name"]).action

    assert action.summary() == "name of table shop.the-users by event.id into the_users"
