"""The right answers, computed from the input in plain Python, and how a contender's are compared with them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isclose
from typing import Any

from confluent_kafka import Message
from orjson import loads

from benchmarks.contender import ContenderError
from benchmarks.stateful.input import Event, profile_of

WINDOW_MS = 60_000
Totals = Mapping[tuple[str, int | None], tuple[int, float]]
"""The count and the sum by (user, start of the window), or by (user, None) where there are no windows."""


@dataclass(frozen=True)
class Comparison:
    """How far what was found differs: answers that are wrong, and how many records they fall short of."""

    answers: int
    wrong: int
    missing: int
    example: str = ""


def is_kept(event: Event) -> bool:
    """Whether the filter, with which every work begins, lets an event pass."""
    return bool(event["kind"] != "view")


def totals_of(events: Iterable[Event], window_ms: int | None) -> dict[Any, tuple[int, float]]:
    """The totals that the events come to."""
    totals: dict[tuple[str, int | None], tuple[int, float]] = {}
    for event in filter(is_kept, events):
        start = event["time"] - event["time"] % window_ms if window_ms else None
        n, total = totals.get((event["user"], start), (0, 0.0))
        totals[event["user"], start] = n + 1, total + event["amount"]
    return totals


def last_totals(messages: Iterable[Message], contender: str) -> dict[Any, tuple[int, float]]:
    """The last result per key and window: what a reader of the topic ends up with.

    Raises:
        ContenderError: a record is none of the results that were asked for.
    """
    totals: dict[tuple[str, int | None], tuple[int, float]] = {}
    for message in messages:
        try:
            value = loads(message.value() or b"null")
            user = (message.key() or b"").decode()
            totals[user, value.get("start")] = value["n"], value["total"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ContenderError(
                f"{contender} wrote no total at {message.partition()}@{message.offset()}"
            ) from error
    return totals


def compare(expected: Totals, found: Totals) -> Comparison:
    """Count what differs. Sums may differ in their last digits: the order in which partitions are read is free."""
    wrong, example = 0, ""
    for of in expected.keys() | found.keys():
        right, other = expected.get(of), found.get(of)
        if (
            right is None
            or other is None
            or right[0] != other[0]
            or not isclose(*_sums(right, other))
        ):
            wrong += 1
            example = example or f"{of} is {other}, expected {right}"
    counted = sum(n for n, _ in expected.values()) - sum(n for n, _ in found.values())
    return Comparison(len(expected), wrong, counted, example)


def check_totals(contender: str, expected: Totals, found: Totals, late: int) -> int:
    """How many answers are wrong because the contender dropped records as late, which it said.

    Raises:
        ContenderError: answers are wrong for another reason.
    """
    comparison = compare(expected, found)
    if comparison.wrong and (comparison.missing != late or late <= 0):
        raise ContenderError(
            f"{contender}: {comparison.wrong} of {comparison.answers} answers are wrong, {comparison.missing} records"
            f" are missing, {late} of them dropped as late; {comparison.example}"
        )
    if late and not comparison.wrong:
        raise ContenderError(
            f"{contender} says that it dropped {late} records, but none is missing"
        )
    return comparison.wrong


def check_joined(contender: str, kept: int, messages: Iterable[Message]) -> None:
    """See that every event that passes the filter came out once, each with the row of its user.

    Raises:
        ContenderError: one did not, or came with something else.
    """
    ids: set[int] = set()
    count = 0
    for message in messages:
        event = loads(message.value() or b"null")
        count += 1
        ids.add(event["id"])
        if not is_kept(event) or event.get("profile") != profile_of(event["user"]):
            raise ContenderError(
                f"{contender} wrote a wrong record at {message.partition()}@{message.offset()}: {event}"
            )
    if count != kept or len(ids) != kept:
        raise ContenderError(
            f"{contender} wrote {count} records of {len(ids)} events, expected {kept} of each"
        )


def _sums(one: tuple[int, float], other: tuple[int, float]) -> tuple[float, float]:
    return one[1], other[1]
