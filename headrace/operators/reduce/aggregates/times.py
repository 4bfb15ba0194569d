"""Aggregates by event time: `first` and `last`."""

from typing import ClassVar

from headrace.operators.reduce.aggregates.aggregate import (
    PLAIN,
    Aggregate,
    At,
    Writer,
    kept,
)


class First(Aggregate):
    """The value of the earliest record that has one; the first to arrive of those of the same time."""

    usage = "first(event.id)"
    slots = 2
    initial = "None, None"
    skips_null = False
    sign: ClassVar[str] = "<"

    def prepare(self, code: Writer, at: At) -> str:
        kept_value = code.variable("kept")
        is_new = f"({at.source()} is None or {at.timestamp} {self.sign} {at.source()})"
        code.line(f"{kept_value} = {at.value} if {is_new} else None")
        plain, keep = code.constant(PLAIN, "plain"), code.constant(kept, "kept")
        code.line(
            f"if {kept_value}.__class__ not in {plain}:"
            f" {kept_value} = {keep}({kept_value}, {self.call.text!r})"
        )
        return kept_value

    def update(self, code: Writer, at: At, prepared: str) -> None:
        with code.block(f"if {prepared} is not None:"):
            code.line(f"{at.source()} = {at.timestamp}")
            code.line(f"{at.source(1)} = {prepared}")

    def result(self, code: Writer, accumulator: str, slot: int) -> str:  # noqa: ARG002 # as its contract has it
        return f"{accumulator}[{slot + 1}]"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        mine, theirs = f"{accumulator}[{slot}]", f"{other}[{slot}]"
        is_new = f"({mine} is None or {theirs} {self.sign} {mine})"
        with code.block(f"if {theirs} is not None and {is_new}:"):
            span = f"[{slot}:{slot + 2}]"
            code.line(f"{accumulator}{span} = {other}{span}")


class Last(First):
    """The value of the latest record that has one; the last to arrive of those of the same time."""

    usage = "last(event.id)"
    sign = ">="
