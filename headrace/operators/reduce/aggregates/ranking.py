"""Aggregates that rank: `top` and `bottom`."""

from bisect import bisect_left, bisect_right
from typing import Any, ClassVar

from headrace.operators.reduce.aggregates.aggregate import Aggregate, At, Call, Writer, write_kept
from headrace.operators.reduce.aggregates.extremes import check_comparable, order_of


class Top(Aggregate):
    """The largest values, the largest first; of equal ones those that came first.

    Slots: the values, the smallest first, and what is kept for each, when the call has a second expression.
    """

    usage = "top(event.amount, 3) or top(event.amount, 3, event.id)"
    slots = 2
    initial = "[], []"
    arguments = ("expression", "limit", "expression")
    needed = 2
    limit_max = 10_000
    is_top: ClassVar[bool] = True

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        assert call.limit is not None  # it is a needed argument
        self.limit = call.limit

    @property
    def state(self) -> tuple[object, ...]:
        return (*super().state, self.limit)

    def prepare(self, code: Writer, at: At) -> str:
        rank = code.variable("rank")
        find = code.constant(rank_in, "rank_in")
        code.line(
            f"{rank} = {find}({at.source()}, {at.value}, {self.limit}, {self.is_top}, {self.call.text!r})"
        )
        if len(at.values) == 1:
            return f"{rank}, None"
        return f"{rank}, {write_kept(code, at.values[1], self.call.text)}"

    def update(self, code: Writer, at: At, prepared: str) -> None:
        add = code.constant(add_ranked, "add_ranked")
        code.line(
            f"{add}({at.source()}, {at.source(1)}, {at.value}, {prepared}, {self.limit}, {self.is_top})"
        )

    def result(self, code: Writer, accumulator: str, slot: int) -> str:  # noqa: ARG002 # as its contract has it
        kept = slot + (len(self.call.expressions) > 1)
        return f"{accumulator}[{kept}][{'::-1' if self.is_top else ':'}]"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merge = code.constant(merge_ranked, "merge_ranked")
        code.line(f"{merge}({accumulator}, {other}, {slot}, {self.limit}, {self.is_top})")


class Bottom(Top):
    """The smallest values, the smallest first; of equal ones those that came first."""

    usage = "bottom(event.amount, 3) or bottom(event.amount, 3, event.id)"
    is_top = False


def rank_in(
    values: list[Any], value: Any, limit: int, is_top: bool, aggregation: str
) -> int | None:
    """Where a value goes among the values, which are in order; None where it does not belong among them."""
    if value is None or value != value:
        return None
    for known in (values[0], values[-1]) if values else (None,):
        check_comparable(value, known, aggregation)
    if len(values) >= limit and (value <= values[0] if is_top else value >= values[-1]):
        return None
    return bisect_left(values, value) if is_top else bisect_right(values, value)


def add_ranked(
    values: list[Any],
    kept: list[Any],
    value: Any,
    rank: int | None,
    also: Any,
    limit: int,
    is_top: bool,
) -> None:
    """Put a value at its rank; the worst leaves when there are too many."""
    if rank is None:
        return
    values.insert(rank, value)
    kept.insert(rank, also)
    if len(values) > limit:
        worst = 0 if is_top else -1
        del values[worst], kept[worst]


def merge_ranked(
    accumulator: list[Any], other: list[Any], slot: int, limit: int, is_top: bool
) -> None:
    """Add the values of another accumulator, which came later: equal ones rank behind those that are there."""
    first, second = (other, accumulator) if is_top else (accumulator, other)
    values = first[slot] + second[slot]
    kept = first[slot + 1] + second[slot + 1]
    order = sorted(range(len(values)), key=lambda place: order_of(values[place]))
    order = order[-limit:] if is_top else order[:limit]
    accumulator[slot] = [values[place] for place in order]
    accumulator[slot + 1] = [kept[place] for place in order]
