"""`hydrate` with a lookup: what is asked, what is remembered, and what becomes of answers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headrace.operators.hydrate import Hydrate
from headrace.operators.hydrate_lookup import HydrateLookup
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.contracts.call import CallFailedError, Opening, Outcome
from headrace.runtime.contracts.lookup import Finder, Lookup, Question
from headrace.runtime.errors import RecordError
from tests.unit.connectors.calling import Calling, problems_of

USERS: dict[Any, Any] = {1: {"name": "Ada", "age": 36}, 2: {"name": "Bo"}, "k": {"name": "Key"}}


class Shelf(Lookup):
    """Finds users, and notes what it was asked."""

    Config = ActionConfig
    description = "a shelf"
    asked: list[list[Any]]

    def summary(self) -> str:
        return "a shelf"

    def finder(self, opening: Opening) -> Finder:
        return ShelfFinder()


class ShelfFinder(Finder):
    """Says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []

    async def find(self, questions: Sequence[Question]) -> Sequence[Any]:
        self.asked.append([one.key for one in questions])
        return [
            CallFailedError("busy", is_temporary=True) if one.key == "bad" else USERS.get(one.key)
            for one in questions
        ]


def caller_of(config: Mapping[str, Any]) -> tuple[Any, ShelfFinder, ManualClock, HydrateLookup]:
    made = Hydrate.Config.model_validate(
        {"key": "event.user", "into": "found", "sql": {"database": "sqlite:///a", "table": "a", "column": "b"}}
        | dict(config)
    )  # fmt: skip # a stand-in for any source
    action = HydrateLookup("sql", Shelf, made)
    clock = ManualClock(1_000)
    caller = action.caller(Opening("f", "s", {}, clock))
    finder: ShelfFinder = caller._finder  # type: ignore[attr-defined] # to see what it was asked
    return caller, finder, clock, action


def outcomes(caller: Any, action: HydrateLookup, *events: Any) -> list[Outcome]:
    calling = object.__new__(Calling)
    calling.action, calling.secrets, calling._count = action, {}, 0
    return list(asyncio.run(caller.process([calling.call(event) for event in events])))


def test_equal_keys_of_a_batch_are_asked_once() -> None:
    caller, finder, _, action = caller_of({})

    made = outcomes(caller, action, {"user": 1}, {"user": 2}, {"user": 1}, {"user": 9})

    assert finder.asked == [[1, 2, 9]]
    assert [one.events[0]["found"] for one in made] == [USERS[1], USERS[2], USERS[1], None]


def test_answers_are_remembered_for_a_while() -> None:
    caller, finder, clock, action = caller_of({"cache": {"ttl": "1m", "missing_ttl": "10s"}})

    outcomes(caller, action, {"user": 1}, {"user": 9})
    clock.advance(9)
    outcomes(caller, action, {"user": 1}, {"user": 9})
    clock.advance(1)
    outcomes(caller, action, {"user": 1}, {"user": 9})
    clock.advance(50)
    outcomes(caller, action, {"user": 1})

    assert finder.asked == [[1, 9], [9], [1]]


def test_the_answer_used_longest_ago_is_forgotten_first() -> None:
    caller, finder, _, action = caller_of({"cache": {"entries": 2}})

    for user in (1, 2, 1, 3, 1, 2):
        outcomes(caller, action, {"user": user})

    assert finder.asked == [[1], [2], [3], [2]]


def test_failures_are_not_remembered() -> None:
    caller, finder, _, action = caller_of({"cache": {}})

    made = outcomes(caller, action, {"user": "bad"}, {"user": 1})
    outcomes(caller, action, {"user": "bad"})

    assert isinstance(made[0].error, CallFailedError)
    assert made[1].error is None
    assert finder.asked == [["bad", 1], ["bad"]]


def test_without_a_key_the_records_own_counts() -> None:
    caller, _, _, action = caller_of({"key": None})

    (made,) = outcomes(caller, action, {"user": 1})

    assert made.events[0]["found"] == USERS["k"]


def test_a_key_that_is_null_finds_nothing_and_is_not_asked() -> None:
    caller, finder, _, action = caller_of({})

    (made,) = outcomes(caller, action, {"user": None})

    assert (made.events[0]["found"], finder.asked) == (None, [])


@pytest.mark.parametrize(
    ("config", "user", "made"),
    [
        ({"into": None, "merge": True}, 1, [{"user": 1, "name": "Ada", "age": 36}]),
        ({"into": None, "merge": True}, 9, [{"user": 9}]),
        ({"select": ["name"]}, 1, [{"user": 1, "found": {"name": "Ada"}}]),
        ({"missing": "drop"}, 9, []),
    ],
)
def test_what_is_found_goes_into_the_event(config: dict[str, Any], user: Any, made: Any) -> None:
    caller, _, _, action = caller_of(config)

    (outcome,) = outcomes(caller, action, {"user": user})

    assert list(outcome.events) == made


@pytest.mark.parametrize(
    ("config", "event", "message"),
    [
        ({"missing": "fail"}, {"user": 9}, "nothing was found"),
        ({"select": ["size"]}, {"user": 1}, "has no field 'size'; it has name, age"),
        ({"key": "1"}, [1], "adds to events that are maps, found a list"),
    ],
)
def test_what_cannot_be_added_fails(config: dict[str, Any], event: Any, message: str) -> None:
    caller, _, _, action = caller_of(config)

    (outcome,) = outcomes(caller, action, event)

    assert isinstance(outcome.error, RecordError)
    assert message in str(outcome.error)


SQL = {"database": "sqlite:///a", "table": "a", "column": "b"}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"sql": SQL}, "into: what `sql` finds needs 'into'"),
        ({"sql": SQL, "table": "t", "into": "a"}, "needs one source to look in"),
        ({"sql": SQL, "into": "a", "missing": "other"}, "missing: with `sql` it is one of pass"),
        ({"sql": SQL, "into": "a", "global": True}, "global: goes with `table` only"),
        ({"sql": {**SQL, "column": None}, "into": "a"}, "sql: 'table' needs 'column'"),
        ({"sql": {"database": "x"}, "into": "a"}, "sql: needs either 'table' with 'column'"),
        (
            {"sql": {"database": "x", "query": "select :id"}, "into": "a"},
            "sql: 'query' must mention :key",
        ),
        ({"http": {"url": "http://a"}, "into": "a", "key": "event.a"}, "key: `http` looks for"),
        ({"http": {"url": "nowhere"}, "into": "a"}, "http: url: must be an absolute URL"),
        (
            {"http": {"url": "http://a/${event.b}", "many": {"parameter": "i", "by": "i"}}, "into": "a"},
            "http: 'many' asks for several",
        ),
        ({"table": "t", "cache": {}}, "cache: a table is at hand anyway"),
    ],
)  # fmt: skip # one table
def test_a_config_that_makes_no_sense_is_explained(config: dict[str, Any], problem: str) -> None:
    found = problems_of(Hydrate, config)

    assert any(text.startswith(problem) for text in found), found
