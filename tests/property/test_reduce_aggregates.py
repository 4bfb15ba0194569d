"""Every aggregate over records that are split up in any way equals a computation over all of them at once."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.operators.reduce.accumulator import Accumulator, copy_of
from headrace.operators.reduce.aggregation import Aggregation
from headrace.runtime.errors import RecordError
from headrace.runtime.state import codec
from tests.property.models.aggregates import NAIVE

small = st.integers(-3, 12)
numbers = st.one_of(small, st.integers(-8, 8).map(lambda number: number / 4))
records = st.lists(st.tuples(st.integers(0, 8), small), max_size=30)


def accumulator_of(*texts: str) -> Accumulator:
    return Accumulator({text: Aggregation.model_validate(text) for text in texts})


ALL = accumulator_of(*NAIVE)
SKETCHES = accumulator_of(*(f"quantile(event.v, {share})" for share in (0, 0.1, 0.5, 0.95, 1)))


def folded(accumulator: Accumulator, parts: list[list[tuple[int, object]]]) -> list[object]:
    """The accumulator of all parts, each of which went through the bytes of the store."""
    whole = accumulator.new()
    for part in parts:
        slots = accumulator.new()
        for time, value in part:
            accumulator.add(slots, {"v": value}, time, b"")
        restored = codec.decode(codec.encode(slots))
        before = repr(restored)
        accumulator.merge(whole, restored)
        assert repr(restored) == before
    return whole


def split(arrived: list[tuple[int, int]], cuts: list[int]) -> list[list[tuple[int, object]]]:
    places = [0, *sorted(min(cut, len(arrived)) for cut in cuts), len(arrived)]
    return [list(arrived[a:b]) for a, b in pairwise(places)]


@given(records, st.lists(st.integers(0, 30), max_size=5))
def test_parts_that_came_one_after_the_other_merge_to_the_whole(
    arrived: list[tuple[int, int]], cuts: list[int]
) -> None:
    made = ALL.result(folded(ALL, split(arrived, cuts)))

    assert made == {text: naive(arrived) for text, naive in NAIVE.items()}


@given(st.lists(st.tuples(st.integers(0, 8), numbers), max_size=30), st.integers(1, 8))
def test_bins_of_time_merge_to_the_whole(arrived: list[tuple[int, int]], bin_size: int) -> None:
    """Order of arrival across bins is not kept, so that what depends on it alone is compared as sets."""
    bins: dict[int, list[tuple[int, object]]] = {}
    for time, value in arrived:
        bins.setdefault(time // bin_size, []).append((time, value))

    made = ALL.result(folded(ALL, [bins[number] for number in sorted(bins)]))

    wanted = {text: naive(arrived) for text, naive in NAIVE.items()}
    for found in (made, wanted):
        found["distinct(event.v)"] = set(found["distinct(event.v)"])
        found.pop("top(event.v, 3, timestamp)")
    assert made == wanted


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
            st.integers(-(10**30), 10**30),
        ),
        min_size=1,
        max_size=40,
    ),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_a_quantile_is_within_one_percent(values: list[float], cuts: list[int]) -> None:
    arrived = [(0, value) for value in values]
    made = SKETCHES.result(folded(SKETCHES, split(arrived, cuts)))  # type: ignore[arg-type] # floats too

    ordered = sorted(values)
    for text, found in made.items():
        share = float(text.split()[-1][:-1])
        wanted = ordered[math.floor(share * (len(ordered) - 1))]
        assert found == pytest.approx(wanted, rel=0.010001, abs=0)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
EVERY = accumulator_of(
    "count()",
    "sum(event.a)",
    "mean(event.b)",
    "sum(event.a + event.b)",
    "min(event.c)",
    "max(event.a)",
    "first(event.c)",
    "last(event.b)",
    "collect(event.c, 3)",
    "distinct(event.c, 3)",
    "count_distinct(event.a, 3)",
    "top(event.c, 2, event.a)",
    "bottom(event.b, 2)",
    "quantile(event.a, 0.5)",
)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys("abc", anything)), max_size=8))
def test_whatever_comes_is_added_as_a_whole_or_refused_as_a_whole(events: list[object]) -> None:
    slots = EVERY.new()
    for time, event in enumerate(events):
        before, count = repr(slots), slots[0]
        try:
            EVERY.add(slots, event, time, b"")
        except RecordError:
            assert repr(slots) == before
        else:
            assert slots[0] == count + 1
        EVERY.result(slots)
        merged = copy_of(slots)
        EVERY.merge(merged, slots)
        codec.encode(slots)
