"""What a join's config may say, and what is said of one that may not."""

from typing import Any

import pytest

from headrace.operators.join import Join
from headrace.operators.join.config import JoinConfig
from headrace.runtime.contracts.action import KeyedAction
from tests.unit.operators.join.fake_task import action_of

STREAMS = {"within": "1m"}
TABLE = {"right": {"table": "rows"}}
GLOBAL = {"right": {"table": "rows", "global": True}}
TABLES = {"as": {"left": "table", "right": "table"}}


def problems(config: dict[str, Any]) -> list[str]:
    return list(Join(JoinConfig.model_validate(config)).problems())


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({}, "within: two streams need the time"),
        ({**STREAMS, "wait": "1s"}, "wait: is for a stream and a table, and this joins two streams; `grace`"),
        ({**STREAMS, "as_of": True}, "as_of: is for a stream and a table"),
        ({**STREAMS, "foreign_key": "event.x"}, "foreign_key: is for two tables"),
        ({**STREAMS, "value": "event"}, "value: mentions 'event', but a result is made of two records"),
        ({**STREAMS, "value": "results.x"}, "value: mentions 'results'"),
        ({**STREAMS, "left": "a", "right": "a"}, "right: 'a' is on the left already"),
        ({**TABLE, "within": "1m"}, "within: is for two streams, and this joins a stream and a table"),
        ({**TABLE, "grace": "1m"}, "grace: is for two streams, and this joins a stream and a table; `wait`"),
        ({**TABLE, "type": "outer"}, "type: changes of the table emit nothing"),
        ({**TABLE, "as_of": True}, "history: as_of needs"),
        ({**TABLE, "history": "1m"}, "history: keeps replaced rows"),
        ({**TABLE, "as_of": True, "history": "1m", "wait": "2m"}, "wait: is longer than the history"),
        ({**TABLE, "late": "other"}, "late: a record is late only"),
        ({**TABLE, "right_key": "key"}, "right_key: a topic is read as a table under its own keys"),
        ({**TABLE, "as": {"right": "stream"}}, "as: a topic on the right is always"),
        ({"right": {"table": "a b"}}, "right: a topic's name has"),
        ({**GLOBAL, "as_of": True, "history": "1m"}, "as_of: a global table has only"),
        ({**GLOBAL, "left_key": "headers.x"}, "left_key: mentions 'headers'"),
        ({"as": {"left": "table"}}, "as: a stream is joined with a table on its right"),
        ({**TABLES, "within": "1m"}, "within: is for two streams"),
        ({**TABLES, "late": "other"}, "late: no change of a table is late"),
        ({**GLOBAL, "as": {"left": "table"}}, "right: two tables are joined whenever either changes"),
        ({**TABLES, "foreign_key": "event.x", "type": "outer"}, "type: a foreign-key join is inner or left"),
        ({**TABLES, "foreign_key": "run.id"}, "foreign_key: mentions 'run'"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_join_is_told_what_to_write(
    config: dict[str, Any], start: str
) -> None:
    found = problems(config)

    assert len(found) == 1
    assert found[0].startswith(start)
    assert not isinstance(Join(JoinConfig.model_validate(config)).specialised(), KeyedAction)


@pytest.mark.parametrize(
    ("config", "inputs", "start"),
    [
        (STREAMS, ["a"], "right: needs a second stage that sends to this one, found only 'a'"),
        (STREAMS, ["a", "b", "c"], "joins the records of two stages, found 'a', 'b', 'c'"),
        (TABLE, ["a", "b"], "joins the records of one stage beside its table, found 'a', 'b'"),
        ({**STREAMS, "left": "orders"}, ["order", "b"], "left: 'orders' does not send to this stage"),
        ({**STREAMS, "right": "z"}, ["a", "b"], "right: 'z' does not send to this stage, 'a', 'b' do"),
    ],
)  # fmt: skip
def test_stages_that_do_not_fit_are_told(
    config: dict[str, Any], inputs: list[str], start: str
) -> None:
    action = Join(JoinConfig.model_validate(config)).specialised()
    assert isinstance(action, KeyedAction)

    assert [text.startswith(start) for text in action.check_inputs(inputs)] == [True]


@pytest.mark.parametrize(
    ("named", "sides"),
    [
        ({}, ("a", "b")),
        ({"left": "b"}, ("b", "a")),
        ({"right": "a"}, ("b", "a")),
        ({"left": "a", "right": "b"}, ("a", "b")),
    ],
)
def test_sides_are_as_named_and_otherwise_in_the_documents_order(
    named: dict[str, str], sides: tuple[str, str]
) -> None:
    action = action_of(Join, {**STREAMS, **named, "left_key": "event.l", "right_key": "event.r"})

    keys = [str(action.key(sender)) for sender in sides]
    assert keys == ["event.l", "event.r"]


def test_records_keep_their_own_keys_where_none_is_given() -> None:
    action = action_of(Join, {**STREAMS, "right_key": "event.r"})

    assert action.key("a") is None


def test_late_records_go_to_a_stage_or_a_topic() -> None:
    stage = action_of(Join, {**STREAMS, "late": "other"})
    topic = action_of(Join, {**STREAMS, "late": {"topic": "gone"}})

    assert (stage.late_stage, stage.late_topic, stage.outputs()) == ("other", None, ("other",))
    assert (topic.late_stage, topic.late_topic, topic.outputs()) == (None, "gone", ())


def test_the_shape_of_the_state_holds_its_keys_and_no_times() -> None:
    short = action_of(Join, {**STREAMS, "left_key": "event.l"})
    long = action_of(Join, {"within": "1h", "grace": "1m", "type": "left", "left_key": "event.l"})
    other = action_of(Join, {**STREAMS, "left_key": "event.x"})

    assert short.shape() == long.shape() != other.shape()


def test_plans_say_what_is_joined() -> None:
    found = [
        action_of(Join, {"within": {"after": "1s"}, "type": "left"}).summary(),
        action_of(Join, TABLE, ["a"]).summary(),
        action_of(Join, {**TABLES, "foreign_key": "event.x"}).summary(),
    ]

    assert found == [
        "left stream-stream join: a with b, from 0s before to 1s after",
        "inner stream-table join: a with table rows",
        "inner foreign-key join: a with b by event.x",
    ]
