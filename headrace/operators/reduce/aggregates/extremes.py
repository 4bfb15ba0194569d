"""Aggregates that compare: `min` and `max`."""

from typing import Any, ClassVar

from headrace.operators.reduce.aggregates.aggregate import (
    NUMBERS,
    Aggregate,
    At,
    Writer,
    refused,
)
from headrace.runtime.errors import RecordError

WANTED = "numbers or text"


class Least(Aggregate):
    """The smallest number, or the first text in the order of characters; null of none."""

    usage = "min(event.amount)"
    initial = "None"
    skips_null = False
    sign: ClassVar[str] = "<"

    def prepare(self, code: Writer, at: At) -> str:
        best, value = code.variable("best"), at.value
        numbers = code.constant(NUMBERS, "numbers")
        code.line(f"{best} = {at.source()}")
        # Two numbers is what nearly every record brings; everything else is looked at with care in a function.
        with code.block(f"if {value}.__class__ in {numbers} and {best}.__class__ in {numbers}:"):
            code.line(f"if {value} {self.sign} {best}: {best} = {value}")
        with code.block(f"elif {value} is not None:"):
            better = code.constant(better_of, "better_of")
            is_less = self.sign == "<"
            code.line(f"{best} = {better}({best}, {value}, {is_less}, {self.call.text!r})")
        return best

    def update(self, code: Writer, at: At, prepared: str) -> None:
        code.line(f"{at.source()} = {prepared}")

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merged = code.constant(merged_of, "merged_of")
        code.line(
            f"{accumulator}[{slot}] = {merged}({accumulator}[{slot}], {other}[{slot}], {self.sign == '<'})"
        )


class Greatest(Least):
    """The largest number, or the last text in the order of characters; null of none."""

    usage = "max(event.amount)"
    sign = ">"


def check_comparable(value: Any, known: Any, aggregation: str) -> None:
    """Raise unless a value is a number or text, and of the same kind as a known one that is not null."""
    is_text = isinstance(value, str)
    if not is_text and value.__class__ not in NUMBERS:
        raise refused(aggregation, WANTED, value)
    if known is not None and isinstance(known, str) != is_text:
        found, before = ("text", "numbers") if is_text else ("a number", "text")
        raise RecordError(f"{aggregation} cannot compare {found} with the {before} before it")


def better_of(best: Any, value: Any, is_less: bool, aggregation: str) -> Any:
    """The value where it is smaller (or larger) than the best so far, which is null in the beginning."""
    check_comparable(value, best, aggregation)
    if value != value:
        return best
    return value if best is None or (value < best if is_less else value > best) else best


def order_of(value: Any) -> tuple[bool, Any]:
    """What sorts numbers before text."""
    return isinstance(value, str), value


def merged_of(one: Any, other: Any, is_less: bool) -> Any:
    """The better of two results of parts, which may be null, and of which one may be text and one a number."""
    if one is None or other is None:
        return other if one is None else one
    left, right = order_of(one), order_of(other)
    return other if (right < left if is_less else right > left) else one
