from dataclasses import dataclass, field
from typing import Any

import pytest
from orjson import dumps

from benchmarks.contender import ContenderError
from benchmarks.stateful.answers import (
    Totals,
    check_joined,
    check_totals,
    compare,
    last_totals,
    totals_of,
)
from benchmarks.stateful.input import Event, profile_of


def event(user: str, time_ms: int, amount: float = 1.0, kind: str = "buy") -> Event:
    return {"id": time_ms, "user": user, "kind": kind, "amount": amount, "time": time_ms}


@dataclass(frozen=True)
class Written:
    """A record as a reader of the target topic sees it."""

    user: str
    body: dict[str, Any] | None = field(default_factory=dict)

    def key(self) -> bytes:
        return self.user.encode()

    def value(self) -> bytes:
        return dumps(self.body)

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7


def test_a_window_counts_from_its_start_to_before_its_end() -> None:
    events = [event("u", 60_000), event("u", 119_999, 2.0), event("u", 120_000), event("v", 0)]

    assert totals_of(events, 60_000) == {
        ("u", 60_000): (2, 3.0),
        ("u", 120_000): (1, 1.0),
        ("v", 0): (1, 1.0),
    }


def test_views_are_not_counted() -> None:
    assert totals_of([event("u", 0, kind="view"), event("u", 1)], None) == {("u", None): (1, 1.0)}


def test_the_last_result_of_a_key_and_window_counts() -> None:
    messages = [
        Written("u", {"start": 0, "n": 1, "total": 1.0}),
        Written("u", {"start": 60_000, "n": 1, "total": 1.0}),
        Written("u", {"start": 0, "n": 2, "total": 4.0}),
    ]

    found = last_totals(messages, "peer")  # type: ignore[arg-type] # has what is read of a message

    assert found == {("u", 0): (2, 4.0), ("u", 60_000): (1, 1.0)}


@pytest.mark.parametrize("body", [None, {"start": 0}])
def test_a_record_that_is_no_result_is_named(body: dict[str, Any] | None) -> None:
    with pytest.raises(ContenderError, match="peer wrote no total at 0@7"):
        last_totals([Written("u", body)], "peer")  # type: ignore[list-item] # has what is read of a message


def test_sums_may_differ_in_their_last_digits_and_counts_may_not() -> None:
    right: Totals = {("u", 0): (3, 0.6)}

    assert compare(right, {("u", 0): (3, 0.1 + 0.2 + 0.3)}).wrong == 0
    assert compare(right, {("u", 0): (4, 0.6)}).wrong == 1
    assert compare(right, {("u", 0): (3, 0.7)}).wrong == 1


def test_answers_that_are_missing_or_too_many_are_wrong() -> None:
    comparison = compare({("u", 0): (3, 1.0), ("v", 0): (2, 1.0)}, {("u", 0): (3, 1.0)})

    assert (comparison.answers, comparison.wrong, comparison.missing) == (2, 1, 2)
    assert "('v', 0) is None, expected (2, 1.0)" in comparison.example
    assert compare({}, {("u", 0): (1, 1.0)}).wrong == 1


def test_wrong_answers_are_forgiven_only_when_dropped_records_account_for_them() -> None:
    right: Totals = {("u", 0): (5, 5.0), ("v", 0): (1, 1.0)}
    found: Totals = {("u", 0): (3, 3.0), ("v", 0): (1, 1.0)}

    assert check_totals("peer", right, found, late=2) == 1
    with pytest.raises(
        ContenderError, match="1 of 2 answers are wrong, 2 records are missing, 0 of"
    ):
        check_totals("peer", right, found, late=0)
    with pytest.raises(ContenderError, match="3 of them dropped as late"):
        check_totals("peer", right, found, late=3)


def test_a_contender_that_says_it_dropped_records_must_have() -> None:
    with pytest.raises(ContenderError, match="says that it dropped 2 records, but none is missing"):
        check_totals("peer", {("u", 0): (1, 1.0)}, {("u", 0): (1, 1.0)}, late=2)


def joined(number: int, **other: object) -> Written:
    user = f"user-{number}"
    return Written(user, event(user, number) | {"profile": profile_of(user)} | other)


def test_joined_records_come_once_each_with_the_row_of_their_user() -> None:
    check_joined("peer", 2, [joined(1), joined(2)])  # type: ignore[list-item] # has what is read of a message


@pytest.mark.parametrize(
    "written",
    [
        [joined(1)],
        [joined(1), joined(1)],
        [joined(1), joined(2), joined(2)],
        [joined(1), joined(2, profile=None)],
        [joined(1), joined(2, profile=profile_of("user-1"))],
        [joined(1), joined(2, kind="view")],
    ],
)
def test_a_join_with_missing_doubled_or_wrong_records_is_refused(written: list[Any]) -> None:
    with pytest.raises(ContenderError, match="peer wrote"):
        check_joined("peer", 2, written)
