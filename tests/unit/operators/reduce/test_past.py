"""What it costs to look at a stretch of recent records."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any

from headrace.operators.reduce.accumulator import Accumulator
from headrace.operators.reduce.aggregation import Aggregation
from headrace.operators.reduce.past import Past

RECORDS = 6_400
LENGTH_MS = 3_200


class Entries:
    """The entries of one key, which count how many of them are read."""

    key = b"k"

    def __init__(self) -> None:
        self.reads = 0
        self._names: list[str] = []
        self._values: dict[str, Any] = {}

    def get(self, name: str = "") -> Any:
        self.reads += 1
        return self._values.get(name)

    def items(self, start: str = "", end: str | None = None) -> Iterator[tuple[str, Any]]:
        assert end is not None
        for name in self._names[bisect_left(self._names, start) : bisect_left(self._names, end)]:
            yield name, self.get(name)

    def put(self, name: str, value: Any) -> None:
        if name not in self._values:
            insort(self._names, name)
        self._values[name] = value


def past_of(entries: Entries) -> Past:
    accumulator = Accumulator({"total": Aggregation.model_validate("sum(event.v)")})
    return Past(entries, accumulator, LENGTH_MS)  # type: ignore[arg-type] # the part of a context that it uses


def filled() -> Entries:
    entries = Entries()
    past = past_of(entries)
    for time in range(RECORDS):
        past.add(time, {"v": 1})
    entries.reads = 0
    return entries


def test_a_record_is_added_by_looking_at_two_entries() -> None:
    entries = filled()

    past_of(entries).add(RECORDS, {"v": 1})

    assert entries.reads == 2


def test_one_stretch_reads_a_small_part_of_its_records() -> None:
    entries = filled()

    assert past_of(entries).stretch(RECORDS - 1) == [LENGTH_MS]
    assert entries.reads < 300


def test_many_stretches_read_every_record_a_few_times_only() -> None:
    entries = filled()
    past = past_of(entries)

    found = [past.stretch(time) for time in past.times(LENGTH_MS, RECORDS - 1)]

    assert found == [[LENGTH_MS]] * (RECORDS - LENGTH_MS)
    assert entries.reads < 3 * RECORDS
