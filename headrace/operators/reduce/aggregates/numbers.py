"""Aggregates that add up: `count`, `sum`, `mean`."""

from headrace.operators.reduce.aggregates.aggregate import Aggregate, At, Call, Writer


class Count(Aggregate):
    """How many records, or for how many the expression is true."""

    usage = "count() or count(event.amount > 100)"
    needed = 0
    skips_null = False

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.takes = "truth" if call.expressions else "nothing"

    def update(self, code: Writer, at: At, prepared: str) -> None:  # noqa: ARG002 # as its contract has it
        if at.values:
            with code.block(f"if {at.value}:"):
                code.line(f"{at.source()} += 1")
        else:
            code.line(f"{at.source()} += 1")

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        code.line(f"{accumulator}[{slot}] += {other}[{slot}]")


class Sum(Aggregate):
    """The sum of numbers; 0 of none."""

    usage = "sum(event.amount)"
    takes = "number"
    adds = True

    def prepare(self, code: Writer, at: At) -> str:
        if at.is_only_sum:
            return ""
        total = code.variable("total")
        added = f"{at.source()} + {at.value}"
        choice = f"{at.source()} if {at.value} is None else {added}" if at.can_be_null else added
        code.line(f"{total} = {choice}")
        return total

    def update(self, code: Writer, at: At, prepared: str) -> None:
        if prepared:
            code.line(f"{at.source()} = {prepared}")
        else:
            code.line(f"{at.source()} += {at.value}")

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        plus = code.constant(sum_of, "sum_of")
        code.line(f"{accumulator}[{slot}] = {plus}({accumulator}[{slot}], {other}[{slot}])")


class Mean(Sum):
    """The mean of numbers; null of none."""

    usage = "mean(event.amount)"
    slots = 2
    initial = "0, 0"

    def update(self, code: Writer, at: At, prepared: str) -> None:
        super().update(code, at, prepared)
        code.line(f"{at.source(1)} += 1")

    def result(self, code: Writer, accumulator: str, slot: int) -> str:
        mean = code.constant(mean_of, "mean_of")
        return f"{mean}({accumulator}[{slot}], {accumulator}[{slot + 1}])"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        super().merge(code, accumulator, other, slot)
        code.line(f"{accumulator}[{slot + 1}] += {other}[{slot + 1}]")


def sum_of(one: float, other: float) -> float:
    """The sum; infinite where a whole number is too large to be added to one with a fraction."""
    try:
        return one + other
    except OverflowError:
        return float("inf") if max(one, other) > 0 else float("-inf")


def mean_of(total: float, count: int) -> float | None:
    """The mean; a whole number where it is too large for one with a fraction."""
    if not count:
        return None
    try:
        return total / count
    except OverflowError:
        return total // count
