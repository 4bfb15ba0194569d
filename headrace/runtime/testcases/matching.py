"""Compares what came out with what should have, and tells the differences field by field."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from headrace.runtime.testcases.model import ExpectedDeadLetter, ExpectedRecord, Match
from headrace.runtime.testcases.records import DeadLetter, TestRecord

SHOWN_MAX: Final = 200
"""Characters of a value that a difference shows."""
STATES_MAX: Final = 10_000
"""Ways in which records of several partitions may be interleaved that are looked at."""
NOTHING: Final = "nothing"


@dataclass(frozen=True)
class Difference:
    """One field: where it is, what was expected and what was found, both as text."""

    path: str
    expected: str
    found: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How values are compared."""

    match: Match
    tolerance: float

    def values(self, path: str, expected: Any, found: Any) -> Iterator[Difference]:
        """The differences of two JSON values."""
        if isinstance(expected, Mapping) and isinstance(found, Mapping):
            yield from self._mappings(path, expected, found)
        elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
            for i in range(max(len(expected), len(found))):
                where = f"{path}[{i}]"
                if i >= len(found):
                    yield Difference(where, shown(expected[i]), NOTHING)
                elif i >= len(expected):
                    yield Difference(where, NOTHING, shown(found[i]))
                else:
                    yield from self.values(where, expected[i], found[i])
        elif not self._equal(expected, found):
            yield Difference(path, shown(expected), shown(found))

    def _mappings(
        self, path: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]
    ) -> Iterator[Difference]:
        for name, value in expected.items():
            if name in found:
                yield from self.values(f"{path}.{name}", value, found[name])
            else:
                yield Difference(f"{path}.{name}", shown(value), NOTHING)
        if self.match == "exact":
            for name in found:
                if name not in expected:
                    yield Difference(f"{path}.{name}", NOTHING, shown(found[name]))

    def _equal(self, expected: Any, found: Any) -> bool:
        if isinstance(expected, bool) or isinstance(found, bool):
            return expected is found
        if isinstance(expected, int) and isinstance(found, int) and not self.tolerance:
            return expected == found
        if isinstance(expected, int | float) and isinstance(found, int | float):
            return expected == found or math.isclose(expected, found, rel_tol=self.tolerance)
        return type(expected) is type(found) and bool(expected == found)

    def records(self, expected: ExpectedRecord, found: TestRecord) -> list[Difference]:
        """The differences of a record in what is named."""
        how = Comparison(match=expected.match, tolerance=self.tolerance) if expected.match else self
        differences: list[Difference] = []
        for name in expected.has("key", "value", "headers", "timestamp", "partition"):
            value = getattr(found, name)
            wanted = getattr(expected, name)
            if name == "key" and isinstance(value, str) and not isinstance(wanted, str):
                value = _decoded(value)
            differences += how.values(name, wanted, value)
        if expected.has("raw", "base64") and expected.raw_bytes != found.raw:
            path = expected.has("raw", "base64")[0]
            differences.append(Difference(path, shown(expected.raw_bytes), shown(found.raw)))
        if isinstance(expected, ExpectedDeadLetter) and isinstance(found, DeadLetter):
            differences += _failure(expected, found)
        return differences


def _failure(expected: ExpectedDeadLetter, found: DeadLetter) -> Iterator[Difference]:
    told = {
        "flow": found.flow,
        "stage": found.stage,
        "type": found.error_type,
        "topic": found.source_topic,
        "offset": found.source_offset,
    }
    for name in expected.has(*told):
        if getattr(expected, name) != told[name]:
            yield Difference(name, shown(getattr(expected, name)), shown(told[name]))
    if expected.error is not None and expected.error not in found.error:
        yield Difference("error", f"text with {shown(expected.error)}", shown(found.error))


Same = Callable[[int, int], bool]
"""Whether an expected record and one that was found, by their indices, are alike."""


def pairs_in_any_order(wanted: int, found: int, same: Same) -> dict[int, int]:
    """As many pairs of alike records as there can be, by Kuhn's augmenting paths: expected to found."""
    owner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in range(found):
            if j not in tried and same(i, j):
                tried.add(j)
                if j not in owner or place(owner[j], tried):
                    owner[j] = i
                    return True
        return False

    for i in range(wanted):
        place(i, set())
    return {i: j for j, i in sorted(owner.items(), key=lambda pair: pair[1])}


def is_in_order(wanted: int, partitions: Sequence[int], same: Same) -> bool:
    """Whether the found records, whose partitions are given, can be read in the expected order.

    Partitions have no order among each other, so that the next record of each of them is a candidate.
    """
    if wanted != len(partitions):
        return False
    by_partition: dict[int, list[int]] = {}
    for index, partition in enumerate(partitions):
        by_partition.setdefault(partition, []).append(index)
    queues = list(by_partition.values())
    states = {(0,) * len(queues)}
    for i in range(wanted):
        states = {
            (*state[:q], state[q] + 1, *state[q + 1 :])
            for state in states
            for q, queue in enumerate(queues)
            if state[q] < len(queue) and same(i, queue[state[q]])
        }
        if not states or len(states) > STATES_MAX:
            return False
    return True


def shown(value: Any) -> str:
    """A value as a difference shows it: JSON where that can say it."""
    if isinstance(value, bytes):
        try:
            text = f"bytes {value.decode()!r}"
        except UnicodeDecodeError:
            text = f"bytes {value.hex()}"
    else:
        text = orjson.dumps(value, default=repr).decode()
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def _decoded(key: str) -> Any:
    try:
        return orjson.loads(key)
    except orjson.JSONDecodeError:
        return key
