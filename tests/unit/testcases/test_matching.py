from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.testcases.matching import (
    Comparison,
    Difference,
    is_in_order,
    pairs_in_any_order,
    shown,
)
from headrace.runtime.testcases.model import ExpectedRecord, Match
from headrace.runtime.testcases.records import TestRecord


def differences(
    expected: Any, found: Any, match: Match = "exact", tolerance: float = 1e-9
) -> list[Difference]:
    return list(Comparison(match=match, tolerance=tolerance).values("value", expected, found))


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1, "b": [1, {"c": None}]}, {"b": [1, {"c": None}], "a": 1}),
        (240, 240.0),
        (3.3, 1.1 * 3),
        (0, 0.0),
        ("x", "x"),
        (True, True),
    ],
)
def test_equal_values_have_no_differences(expected: object, found: object) -> None:
    assert differences(expected, found) == []


@pytest.mark.parametrize(
    ("expected", "found"),
    [(1, True), (0, False), (None, False), ("1", 1), ([], {}), (1, 1.0001), ("", None), (1, None)],
)
def test_different_values_are_told_apart(expected: object, found: object) -> None:
    assert differences(expected, found) == [Difference("value", shown(expected), shown(found))]


def test_a_difference_names_its_path() -> None:
    found = differences({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 2, "d": 3}, 4]})

    assert found == [
        Difference("value.a[0].b", "1", "2"),
        Difference("value.a[0].c", "2", "nothing"),
        Difference("value.a[0].d", "nothing", "3"),
        Difference("value.a[1]", "nothing", "4"),
    ]


def test_a_subset_allows_further_fields_at_every_depth() -> None:
    assert differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, "subset") == []
    assert differences({"a": {"b": 1}}, {"a": {"c": 2}}, "subset") != []
    assert differences([1], [1, 2], "subset") != []


def test_the_tolerance_is_relative_and_may_be_nothing() -> None:
    assert differences(1000, 1009, tolerance=0.01) == []
    assert differences(1.0, 1.009, tolerance=0.001) != []
    assert differences(3.3, 1.1 * 3, tolerance=0.0) != []


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 1000)) < 250


def record(**given: Any) -> TestRecord:
    fields: dict[str, Any] = {
        "topic": "out",
        "partition": 0,
        "offset": 0,
        "key": None,
        "value": None,
        "raw": None,
        "timestamp": 0,
        "headers": {},
    }
    return TestRecord(**{**fields, **given})


def test_only_what_is_named_is_compared() -> None:
    how = Comparison(match="exact", tolerance=0)
    found = record(key="7", value={"a": 1}, raw=b'{"a":1}', headers={"h": "v"}, timestamp=5)

    assert how.records(ExpectedRecord(), found) == []
    assert how.records(ExpectedRecord(key=7, timestamp=5), found) == []
    assert how.records(ExpectedRecord(key="7", raw='{"a":1}'), found) == []
    assert [d.path for d in how.records(ExpectedRecord(raw=None, headers={}), found)] == [
        "headers.h",
        "raw",
    ]


def test_partitions_have_no_order_among_each_other() -> None:
    found = ["a1", "a2", "b1"]
    partitions = [0, 0, 1]

    def holds(*expected: str) -> bool:
        return is_in_order(len(expected), partitions, lambda i, j: expected[i] == found[j])

    assert holds("a1", "a2", "b1")
    assert holds("a1", "b1", "a2")
    assert holds("b1", "a1", "a2")
    assert not holds("a2", "a1", "b1")
    assert not holds("a1", "a2")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=8), st.data())
def test_every_interleaving_of_partitions_is_in_order(
    records: list[tuple[int, int]], data: st.DataObject
) -> None:
    by_partition = sorted(records, key=lambda pair: pair[0])
    queues = {p: [v for q, v in by_partition if q == p] for p, _ in by_partition}
    expected = []
    while any(queues.values()):
        chosen = data.draw(st.sampled_from([p for p, queue in queues.items() if queue]))
        expected.append(queues[chosen].pop(0))

    partitions = [partition for partition, _ in by_partition]
    assert is_in_order(len(expected), partitions, lambda i, j: expected[i] == by_partition[j][1])


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_pairs_are_found_in_any_order(order: list[int]) -> None:
    pairs = pairs_in_any_order(6, 6, lambda i, j: i == order[j])

    assert pairs == {i: order.index(i) for i in range(6)}


def test_a_record_that_fits_several_leaves_room_for_those_that_fit_one() -> None:
    fits = {0: {0, 1}, 1: {0}}

    assert pairs_in_any_order(2, 2, lambda i, j: j in fits[i]) == {0: 1, 1: 0}
