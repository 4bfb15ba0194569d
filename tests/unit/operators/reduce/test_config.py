"""What a config says to the engine, and what is said of one that is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.operators.reduce import Reduce
from headrace.operators.reduce.config import ReduceConfig
from headrace.operators.reduce.lines import Lines
from headrace.runtime.contracts.action import Action, Fold, KeyedAction
from headrace.runtime.flow import describe_validation

N = {"n": "count()"}


def action_of(**config: Any) -> Action:
    return Reduce(ReduceConfig.model_validate(config)).specialised()


def fold_of(**config: Any) -> Fold:
    action = action_of(aggregate=N, **config)
    assert isinstance(action, KeyedAction)
    assert not list(action.problems())
    fold = action.fold()
    assert fold is not None
    return fold


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"bin_ms": 0, "bins": 1, "emit": "updates", "ttl_ms": None}),
        ({"ttl": "7d"}, {"ttl_ms": 604_800_000}),
        ({"window": {"tumbling": "1m"}}, {"bin_ms": 60_000, "bins": 1}),
        ({"window": {"hopping": "10m", "every": "1m"}}, {"bin_ms": 60_000, "bins": 10}),
        ({"window": {"tumbling": "1m"}, "grace": "10s"}, {"grace_ms": 10_000}),
        ({"window": {"tumbling": "1m"}, "emit": "final"}, {"emit": "final", "early_ms": None}),
        (
            {"window": {"tumbling": "1m"}, "emit": {"every": "5s"}},
            {"emit": "final", "early_ms": 5_000},
        ),
        ({"window": {"tumbling": "1m"}, "close": "wall"}, {"close": "wall", "idle_ms": None}),
        (
            {"window": {"tumbling": "1m"}, "close": {"idle": "30s"}},
            {"close": "event", "idle_ms": 30_000},
        ),
    ],
)
def test_a_fold_is_what_the_config_says(config: Any, expected: dict[str, object]) -> None:
    fold = fold_of(**config)

    assert {name: getattr(fold, name) for name in expected} == expected


@pytest.mark.parametrize("window", [{"session": "1m"}, {"sliding": "1m"}, {"count": 5}])
def test_other_windows_are_no_folds(window: Any) -> None:
    action = action_of(aggregate=N, window=window)

    assert isinstance(action, KeyedAction)
    assert action.fold() is None


def test_a_count_and_a_sum_are_added_in_as_few_lines_as_can_be() -> None:
    fold = Reduce(
        ReduceConfig.model_validate({"aggregate": {"n": "count()", "s": "sum(event.a * 2.0)"}})
    ).specialised()
    assert isinstance(fold, KeyedAction)
    code, made = Lines("add", "accumulator", "event", "timestamp"), fold.fold()
    assert made is not None

    made.add(code, "accumulator", "timestamp")  # type: ignore[arg-type] # the part of `Code` that aggregates use

    assert made.initial == "[0, 0]"
    assert code.source.splitlines()[1:] == [
        '    value_1 = (event["a"] * 2.0)',
        "    accumulator[1] += value_1",
        "    accumulator[0] += 1",
    ]


def test_late_records_go_where_the_config_says() -> None:
    window = {"tumbling": "1m"}
    to_stage = action_of(aggregate=N, window=window, late="others")
    to_topic = action_of(aggregate=N, window=window, late={"topic": "late-ones"})

    assert isinstance(to_stage, KeyedAction)
    assert isinstance(to_topic, KeyedAction)
    assert (to_stage.late_stage, to_stage.late_topic, to_stage.outputs()) == (
        "others",
        None,
        ("others",),
    )
    assert (to_topic.late_stage, to_topic.late_topic, to_topic.outputs()) == (None, "late-ones", ())


def test_what_may_change_without_harm_is_not_in_the_shape() -> None:
    window = {"tumbling": "1m"}
    one = action_of(aggregate={"n": "count()", "p": "quantile(event.a, 0.5)"}, window=window)
    other = action_of(
        aggregate={"m": "count()", "q": "quantile(event.a, 0.9)"}, window=window, grace="1m"
    )
    third = action_of(aggregate={"n": "sum(event.a)"}, window=window)

    assert isinstance(one, KeyedAction)
    assert isinstance(other, KeyedAction)
    assert isinstance(third, KeyedAction)
    assert one.shape() == other.shape() != third.shape()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "aggregate: needs at least one aggregation"),
        (
            {"aggregate": N, "window": {}},
            "needs exactly one of tumbling, hopping, sliding, session, count, found none",
        ),
        ({"aggregate": N, "window": {"tumbling": "1m", "count": 3}}, "found tumbling and count"),
        ({"aggregate": N, "window": {"hopping": "1m"}}, "hopping windows need 'every'"),
        (
            {"aggregate": N, "window": {"hopping": "1m", "every": 3}},
            "'every' of hopping windows is a duration",
        ),
        (
            {"aggregate": N, "window": {"hopping": "1m", "every": "2m"}},
            "'every' is longer than the windows",
        ),
        (
            {"aggregate": N, "window": {"hopping": "10m", "every": "3m"}},
            "every: 3m does not divide hopping: 10m",
        ),
        (
            {"aggregate": N, "window": {"hopping": "1d", "every": "1ms"}},
            "86,400,000 windows would overlap",
        ),
        (
            {"aggregate": N, "window": {"count": 10, "every": "1m"}},
            "is a number of records, such as 10",
        ),
        (
            {"aggregate": N, "window": {"count": 10, "every": 3}},
            "every: 3 does not divide count: 10",
        ),
        (
            {"aggregate": N, "window": {"tumbling": "1m", "every": "1m"}},
            "'every' goes with hopping and count",
        ),
        ({"aggregate": {"start": "count()"}}, "'start' is a field of every result already"),
        (
            {"aggregate": {"merged_into": "count()"}, "window": {"session": "1m"}},
            "'merged_into' is a field",
        ),
        ({"aggregate": N, "emit": "final"}, "emit: without a window no result is final"),
        ({"aggregate": N, "emit": {"every": "1s"}}, "emit: without a window no result is final"),
        ({"aggregate": N, "grace": "1s"}, "grace: there is no window that could be closed"),
        ({"aggregate": N, "close": "wall"}, "close: there is no window that could be closed"),
        ({"aggregate": N, "late": "x"}, "late: there is no window that could be closed"),
        (
            {"aggregate": N, "window": {"tumbling": "1m"}, "ttl": "1d"},
            "ttl: windows end by themselves",
        ),
        (
            {"aggregate": N, "window": {"count": 3}, "emit": "updates"},
            "a count window has one result",
        ),
        (
            {"aggregate": N, "window": {"count": 3}, "emit": {"every": "1s"}},
            "a count window has one result",
        ),
        (
            {"aggregate": N, "window": {"count": 3}, "grace": "1s"},
            "grace: count windows take records as they arrive",
        ),
        (
            {"aggregate": N, "window": {"count": 3}, "close": "wall"},
            "count windows are closed by records",
        ),
        (
            {"aggregate": {"a": "collect(event.x)"}, "window": {"sliding": "1m"}},
            'collect(event.x, 1000, "last") or "first"',
        ),
        (
            {
                "aggregate": {"a": "distinct(event.x, 5)"},
                "window": {"hopping": "2m", "every": "1m"},
            },
            "a hopping window is put together",
        ),
        ({"aggregate": {"a": "sum(headers.x)"}, "window": {"session": "1m"}}, "mentions 'headers'"),
        (
            {"aggregate": {"a": 'reducer("nowhere:X")'}},
            "'nowhere:X' cannot be loaded: ModuleNotFoundError",
        ),
        (
            {"aggregate": {"a": 'reducer("json:loads")'}},
            "has no method 'initial'",
        ),
        (
            {
                "aggregate": {"a": 'reducer("tests.unit.operators.reduce.reducers:Reckless")'},
                "window": {"session": "1m"},
            },
            "has no merge(a, b), and a session window is put together from parts",
        ),
        ({"merge": True, "concat_field": "x"}, "has both 'concat_field' and 'merge'"),
        (
            {"merge": True, "key": "event.x"},
            "'merge' makes one map of a list of maps and goes with nothing else; remove key",
        ),
        ({"concat_field": ""}, "concat_field: needs the name of a field"),
    ],
)
def test_a_config_that_cannot_work_is_explained(config: Any, expected: str) -> None:
    found = list(Reduce(ReduceConfig.model_validate(config)).problems())

    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    "config",
    [
        {"window": {"count": 3}, "emit": "final", "close": {"idle": "1s"}},
        {"window": {"session": "1m"}, "aggregate": {"a": "collect(event.x)"}},
        {"window": {"tumbling": "1m"}, "aggregate": {"a": "sum(headers.x)"}},
        {"window": {"hopping": "2m", "every": "1m"}, "aggregate": {"a": "count_distinct(event.x)"}},
        {"aggregate": {"a": 'reducer("tests.unit.operators.reduce.reducers:Reckless")'}},
    ],
)
def test_a_config_that_works_has_no_problem(config: Any) -> None:
    assert not list(Reduce(ReduceConfig.model_validate({"aggregate": N, **config})).problems())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"window": {"tumbling": "0s"}}, "'window.tumbling' must be longer than nothing"),
        ({"window": {"session": "0.5ms"}}, "'window.session' must be whole milliseconds"),
        ({"window": {"count": 0}}, "'window.count' must be at least 1"),
        (
            {"window": {"hopping": "1m", "every": "soon"}},
            "'window.every': 'soon' is not a duration",
        ),
        ({"emit": "last"}, "'emit' must be 'updates' or 'final'"),
        ({"emit": 7}, "'emit' must be updates, final, or a mapping with 'every'"),
        ({"emit": {"evry": "1s"}}, "unknown key 'evry' in 'emit'; did you mean 'every'?"),
        ({"late": {}}, "'late.topic' is missing"),
        ({"close": "never"}, "'close' must be 'event' or 'wall'"),
        ({"windows": {}}, "unknown key 'windows'; did you mean 'window'?"),
        (
            {"aggregate": {"a": "summ(event.x)"}},
            "'aggregate.a': there is no aggregate 'summ'; did you mean 'sum'?",
        ),
        ({"aggregate": {"a": ["count()"]}}, "'aggregate.a' must be text such as sum(event.amount)"),
    ],
)
def test_a_config_of_the_wrong_form_is_explained(config: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ReduceConfig.model_validate(config)

    texts = [found.text for found in describe_validation(caught.value, ReduceConfig, config)]
    assert len(texts) == 1
    assert expected in texts[0]
