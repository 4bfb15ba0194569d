"""Aggregates that come and go while records are added: what stays counts all of them, what is new those since."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.operators.reduce.accumulator import Accumulator
from headrace.operators.reduce.aggregation import Aggregation
from headrace.operators.reduce.carrying_over import carried_over
from headrace.runtime.state import codec
from tests.property.models.aggregates import NAIVE

records = st.lists(st.tuples(st.integers(0, 8), st.integers(-3, 12)), max_size=20)
texts = st.lists(st.sampled_from(sorted(NAIVE)), min_size=1, max_size=6, unique=True)


def accumulator_of(some: list[str]) -> Accumulator:
    return Accumulator({text: Aggregation.model_validate(text) for text in some})


def added(accumulator: Accumulator, slots: list[object], arrived: list[tuple[int, int]]) -> None:
    for time, value in arrived:
        accumulator.add(slots, {"v": value}, time, b"")


@given(texts, texts, records, records)
def test_what_stays_counts_everything_and_what_is_new_counts_from_then_on(
    before: list[str], after: list[str], first: list[tuple[int, int]], then: list[tuple[int, int]]
) -> None:
    earlier, later = accumulator_of(before), accumulator_of(after)
    slots = earlier.new()
    added(earlier, slots, first)
    stored, shape = codec.decode(codec.encode(slots)), codec.decode(codec.encode(earlier.shape))

    found = carried_over(later, shape)

    if found is None:
        return
    turned = found.convert(stored)
    added(later, turned, then)
    states = {text: shape_of(earlier, text) for text in before}
    for text, result in later.result(turned).items():
        is_kept = shape_of(later, text) in states.values()
        assert result == NAIVE[text](first + then if is_kept else then), text


def shape_of(accumulator: Accumulator, text: str) -> tuple[object, ...]:
    return next(aggregate.state for field, aggregate, _ in accumulator.fields if field == text)


@given(texts)
def test_nothing_is_turned_where_nothing_would_be_left(before: list[str]) -> None:
    shape = accumulator_of(before).shape

    assert carried_over(accumulator_of(["sum(event.other)"]), shape) is None
    assert carried_over(accumulator_of(before), [["Unheard"]]) is None
    assert carried_over(accumulator_of(before), None) is None


def test_another_limit_is_not_taken_for_another_aggregate() -> None:
    earlier = accumulator_of(["count()", "collect(event.v, 10, 'last')"])
    later = accumulator_of(["count()", "collect(event.v, 20, 'last')"])

    assert carried_over(later, earlier.shape) is None


def test_what_becomes_of_the_aggregates_is_told_in_the_words_of_documents() -> None:
    earlier = accumulator_of(["count()", "max(event.v)"])
    later = accumulator_of(["mean(event.v)", "count()"])

    found = carried_over(later, earlier.shape)

    assert found is not None
    assert found.summary == (
        "mean(event.v) = mean(event.v) counts from now on; max(event.v) is forgotten"
    )
