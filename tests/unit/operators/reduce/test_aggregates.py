"""What each aggregate makes of records, and what it refuses."""

import math
from typing import Any

import pytest

from headrace.operators.reduce.accumulator import Accumulator
from headrace.operators.reduce.aggregates.sketch import BUCKETS_MAX
from headrace.operators.reduce.aggregation import Aggregation
from headrace.runtime.errors import RecordError

HERE = "tests.unit.operators.reduce.reducers"


def accumulator_of(*texts: str) -> Accumulator:
    return Accumulator({text: Aggregation.model_validate(text) for text in texts})


def made(text: str, *records: Any) -> Any:
    """The result over records, which are values or (time, value)."""
    accumulator = accumulator_of(text)
    slots = accumulator.new()
    for number, record in enumerate(records):
        time, value = record if isinstance(record, tuple) else (number, record)
        accumulator.add(slots, {"v": value}, time, b"key")
    return accumulator.result(slots)[text]


@pytest.mark.parametrize(
    ("text", "records", "result"),
    [
        ("count()", [], 0),
        ("count()", [1, None], 2),
        ("count(event.v)", [True, False, None, 1], 2),
        ("count(event.v > 1)", [1, 2, 3], 2),
        ("sum(event.v)", [], 0),
        ("sum(event.v)", [None, 2, 0.5], 2.5),
        ("sum(event.v)", [2**70, 1], 2**70 + 1),
        ("sum(event.v * 2)", [1, 2], 6),
        ("mean(event.v)", [], None),
        ("mean(event.v)", [None], None),
        ("mean(event.v)", [1, None, 2], 1.5),
        ("mean(event.v)", [10**400, 10**400], 10**400),
        ("min(event.v)", [], None),
        ("min(event.v)", [3, None, 1, 2.5], 1),
        ("max(event.v)", ["b", "c", "a"], "c"),
        ("max(event.v)", [0, -1], 0),
        ("first(event.v)", [], None),
        ("first(event.v)", [(2, "b"), (1, None), (1, "a"), (1, "c")], "a"),
        ("last(event.v)", [(2, "b"), (3, None), (2, "c"), (1, "a")], "c"),
        ("last(event.v)", [{"a": [1]}], {"a": [1]}),
        ("collect(event.v)", [(2, "b"), (1, "a"), (2, "c"), (3, None)], ["a", "b", "c"]),
        ('collect(event.v, 2, "first")', [(2, "b"), (1, "a"), (3, "c")], ["a", "b"]),
        ('collect(event.v, 2, "last")', [(2, "b"), (1, "a"), (3, "c")], ["b", "c"]),
        ('collect(event.v, 2, "last")', [(2, "b"), (3, "c"), (1, "a")], ["b", "c"]),
        ("distinct(event.v)", ["b", "a", "b", None, 1, 1.0, "1"], ["b", "a", 1, "1"]),
        ("distinct(event.v)", [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [{"a": 1, "b": 2}]),
        ("distinct(event.v)", [True, 1, "\x001"], [True, 1, "\x001"]),
        ('distinct(event.v, 2, "first")', ["a", "b", "c", "a"], ["a", "b"]),
        ('distinct(event.v, 2, "last")', ["a", "b", "c"], ["b", "c"]),
        ("count_distinct(event.v)", ["a", "b", "a", None], 2),
        ("top(event.v, 2)", [1, 3, 2, None], [3, 2]),
        ("top(event.v, 2, timestamp)", [(7, 3), (8, 3), (9, 3)], [7, 8]),
        ("bottom(event.v, 2, timestamp)", [(7, 3), (8, 3), (9, 1)], [9, 7]),
        ("top(event.v, 2)", ["a", "c", "b"], ["c", "b"]),
        ("quantile(event.v, 0.5)", [], None),
        ("quantile(event.v, 0.5)", [7, 7, 7], 7),
        ("quantile(event.v, 0.5)", [-1, 0, 1, None], 0.0),
        ("first(key)", [1], "key"),
        (f'reducer("{HERE}:Longest", event.v)', ["a", None, "bb"], "BB"),
        (f'reducer("{HERE}:longest", event.v)', [], ""),
        (f'reducer("{HERE}:Reckless")', [1], [{"v": 1}]),
    ],
)
def test_an_aggregate_makes(text: str, records: list[Any], result: Any) -> None:
    found = made(text, *records)

    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("text", "records", "error"),
    [
        ("sum(event.v)", ["1"], "sum(event.v) takes numbers, found text"),
        ("sum(event.v)", [True], "found a boolean; count(...) counts where it is true"),
        ("mean(event.v)", [[1]], "mean(event.v) takes numbers, found a list"),
        ("quantile(event.v, 0.5)", [{}], "takes numbers, found a map"),
        ("quantile(event.v, 0.5)", [math.inf], "takes finite numbers"),
        ("quantile(event.v, 0.5)", [math.nan], "takes finite numbers"),
        ("min(event.v)", [1, "a"], "cannot compare text with the numbers before it"),
        ("max(event.v)", ["a", 1], "cannot compare a number with the text before it"),
        ("min(event.v)", [False], "takes numbers or text, found a boolean"),
        ("top(event.v, 2)", [1, "a"], "cannot compare text with the numbers before it"),
        ("bottom(event.v, 2)", [[]], "takes numbers or text, found a list"),
        (
            "collect(event.v, 2)",
            [1, 2, 3],
            "holds 2 values already, and no more; raise the limit, or",
        ),
        ("distinct(event.v, 2)", [1, 2, 1, 3], "holds 2 values already"),
        ("count_distinct(event.v, 2)", [1, 2, 3], "and no more; raise the limit"),
        ("first(event.v)", [{1, 2}], "takes JSON values, which can be kept, found a set"),
        ("sum(event.w)", [1], "event has no field 'w'; it has v"),
        ("sum(event.v.w)", [1], "event.v is a number, so it has no field 'w'"),
        (f'reducer("{HERE}:Reckless", event.v)', ["boom"], "ValueError raised by add of"),
        (f'reducer("{HERE}:Reckless", event.v)', ["set"], "takes JSON values"),
    ],
)
def test_an_aggregate_refuses(text: str, records: list[Any], error: str) -> None:
    with pytest.raises(RecordError) as caught:
        made(text, *records)

    assert error in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_reducer_says_is_a_note() -> None:
    with pytest.raises(RecordError) as caught:
        made(f'reducer("{HERE}:Reckless", event.v)', "boom")

    assert "secret boom" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "event",
    [
        {"a": 1, "b": 2, "c": "text", "d": 4},
        {"a": 1, "b": 2, "c": 3, "d": "boom"},
        {"a": 1, "b": 2, "c": 3},
        {"a": 1, "b": 10**400, "c": 3, "d": 4},
        {"a": 1, "b": 2, "c": 3, "d": {1}},
    ],
)
def test_a_record_that_one_aggregate_refuses_changes_none(event: Any) -> None:
    accumulator = accumulator_of(
        "count()",
        "sum(event.a)",
        "mean(event.b)",
        f'reducer("{HERE}:Reckless", event.d)',
        "collect(event.a)",
        "top(event.a, 2, event.d)",
        "quantile(event.c, 0.5)",
        "distinct(event.d)",
        "last(event.d)",
    )
    slots = accumulator.new()
    accumulator.add(slots, {"a": 1, "b": 0.5, "c": 3, "d": 4}, 1, b"")
    before = repr(slots)

    with pytest.raises(RecordError):
        accumulator.add(slots, event, 2, b"")

    assert repr(slots) == before


def test_a_sum_that_overflows_changes_nothing_beside_it() -> None:
    accumulator = accumulator_of("count()", "sum(event.v)", "max(event.v)")
    slots = accumulator.new()
    accumulator.add(slots, {"v": 0.5}, 1, b"")

    with pytest.raises(RecordError):
        accumulator.add(slots, {"v": 10**400}, 2, b"")

    assert list(accumulator.result(slots).values()) == [1, 0.5, 0.5]


def test_an_expression_is_evaluated_once_and_a_sketch_shared() -> None:
    accumulator = accumulator_of(
        "sum(event.v)", "min(event.v)", "quantile(event.v, 0.5)", "quantile(event.v, 0.9)"
    )

    assert [slot for *_, slot in accumulator.fields] == [0, 1, 2, 2]


def test_results_hold_no_list_of_the_state() -> None:
    accumulator = accumulator_of("collect(event.v)", "distinct(event.v)", "top(event.v, 3)")
    slots = accumulator.new()
    accumulator.add(slots, {"v": 1}, 1, b"")
    before = repr(slots)

    for made_list in accumulator.result(slots).values():
        made_list.append("mine")

    assert repr(slots) == before


def test_state_holds_no_part_of_the_event() -> None:
    accumulator = accumulator_of("last(event.v)", "collect(event.v)", "distinct(event.v)")
    slots, event = accumulator.new(), {"v": {"a": [1]}}
    accumulator.add(slots, event, 1, b"")
    before = repr(slots)

    event["v"]["a"].append(2)

    assert repr(slots) == before


def test_a_sketch_of_every_magnitude_is_bounded_and_right_above() -> None:
    accumulator = accumulator_of("quantile(event.v, 0.9)")
    slots = accumulator.new()
    numbers = [10 ** (exponent / 10) for exponent in range(-3_000, 3_000, 1)]
    for number in numbers:
        accumulator.add(slots, {"v": number}, 1, b"")

    found = accumulator.result(slots)["quantile(event.v, 0.9)"]

    assert len(slots[0]) == BUCKETS_MAX
    assert sum(slots[1]) == len(numbers)
    assert found == pytest.approx(numbers[math.floor(0.9 * (len(numbers) - 1))], rel=0.0101)
