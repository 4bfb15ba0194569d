"""The aggregates of one stage in one flat list."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from headrace.operators.reduce.aggregates import Aggregate, At
from headrace.operators.reduce.aggregates.aggregate import NUMBERS, Writer, refuse_number
from headrace.operators.reduce.aggregation import Aggregation
from headrace.operators.reduce.lines import Lines
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression, explain

NUMERIC_KINDS = frozenset({"number", "float"})


class Accumulator:
    """Where each aggregate has its slots, and the lines that work on all of them.

    `write_add` and `results` write into generated code; `new`, `add`, `merge`, `copy` and `result` do the same where there
    is none.
    """

    def __init__(self, aggregations: Mapping[str, Aggregation]) -> None:
        self.fields: list[tuple[str, Aggregate, int]] = []
        self.parts: list[tuple[Aggregate, int]] = []
        self.slots = 0
        known: dict[tuple[object, ...], int] = {}
        for field, aggregation in aggregations.items():
            aggregate = aggregation.aggregate()
            slot = known.get(aggregate.state)
            if slot is None:
                slot = known[aggregate.state] = self.slots
                self.parts.append((aggregate, slot))
                self.slots += aggregate.slots
            self.fields.append((field, aggregate, slot))

    @property
    def shape(self) -> list[list[str]]:
        """What the slots mean, as JSON: accumulators of another shape cannot be read."""
        return [list(map(str, aggregate.state)) for aggregate, _ in self.parts]

    @property
    def initial(self) -> str:
        """Source of a new accumulator."""
        return f"[{', '.join(aggregate.initial for aggregate, _ in self.parts)}]"

    def write_add(self, code: Writer, accumulator: str, timestamp: str) -> None:
        """Write the lines that add the event: first all that may raise, then all that changes the accumulator."""
        values = self._values(code)
        is_only_sum = sum(aggregate.adds for aggregate, _ in self.parts) == 1
        written: list[tuple[Aggregate, At, str]] = []
        for aggregate, slot in self.parts:
            at = At(
                accumulator=accumulator,
                slot=slot,
                timestamp=timestamp,
                values=tuple(values[part] for part in aggregate.call.expressions),
                can_be_null=_can_be_null(aggregate),
                is_only_sum=is_only_sum,
            )
            written.append((aggregate, at, aggregate.prepare(code, at)))
        _write_updates(code, written, is_only_sum=is_only_sum)

    def _values(self, code: Writer) -> dict[Expression, str]:
        """Write the evaluation of every expression, once each, and the check of those that must be numbers."""
        values: dict[Expression, str] = {}
        checked: set[Expression] = set()
        for aggregate, _ in self.parts:
            for part in aggregate.call.expressions:
                if part not in values:
                    source = code.expression(part)
                    values[part] = code.variable("value", part.text)
                    code.line(f"{values[part]} = {source}")
            if aggregate.takes != "number":
                continue
            part = aggregate.call.expressions[0]
            if part not in checked and part.kind not in NUMERIC_KINDS:
                checked.add(part)
                numbers = code.constant(NUMBERS, "numbers")
                refuse = code.constant(refuse_number, "refuse_number")
                code.line(
                    f"if {values[part]}.__class__ not in {numbers}: {refuse}({values[part]}, {aggregate.call.text!r})"
                )
        return values

    def results(self, code: Writer, accumulator: str) -> list[tuple[str, str]]:
        """Source of every field of a result."""
        return [
            (field, aggregate.result(code, accumulator, slot))
            for field, aggregate, slot in self.fields
        ]

    # ---- outside of generated code

    @cached_property
    def new(self) -> Callable[[], list[Any]]:
        """Makes an accumulator of no records."""
        code = Lines("new")
        code.line(f"return {self.initial}")
        return code.function()

    @cached_property
    def _add(self) -> tuple[Callable[..., Any], Mapping[str, str]]:
        code = Lines("add", "accumulator", "event", "timestamp", "key")
        self.write_add(code, "accumulator", "timestamp")
        return code.function(), code.spelled

    def add(self, accumulator: list[Any], event: Any, timestamp_ms: int, key: bytes) -> None:
        """Add an event, changing the accumulator in place.

        Raises:
            RecordError: the event does not fit; the accumulator is as it was.
        """
        function, spelled = self._add
        try:
            function(accumulator, event, timestamp_ms, key)
        except Exception as error:
            frame = error.__traceback__.tb_next if error.__traceback__ else None
            failed = RecordError(explain(error, frame, spelled))
            for note in getattr(error, "__notes__", ()):
                failed.add_note(note)
            raise failed from error

    @cached_property
    def merge(self) -> Callable[[list[Any], list[Any]], None]:
        """Adds the second accumulator, of later records, to the first; the second stays as it is."""
        code = Lines("merge", "accumulator", "other")
        for aggregate, slot in self.parts:
            aggregate.merge(code, "accumulator", "other", slot)
        return code.function()

    @cached_property
    def result(self) -> Callable[[list[Any]], dict[str, Any]]:
        """The fields of a result."""
        code = Lines("result", "accumulator")
        fields = ", ".join(
            f"{name!r}: {source}" for name, source in self.results(code, "accumulator")
        )
        code.line(f"return {{{fields}}}")
        return code.function()

    def nothing(self) -> dict[str, None]:
        """The fields of a result, all null."""
        return {field: None for field, _, _ in self.fields}


def copy_of(accumulator: Sequence[Any]) -> list[Any]:
    """A copy that may be changed: `add` and `merge` change the lists and maps in slots, and nothing inside of these."""
    return [
        slot.copy() if slot.__class__ is list or slot.__class__ is dict else slot
        for slot in accumulator
    ]


def _can_be_null(aggregate: Aggregate) -> bool:
    return aggregate.takes != "number" or aggregate.call.expressions[0].kind not in NUMERIC_KINDS


def _write_updates(
    code: Writer, written: Sequence[tuple[Aggregate, At, str]], *, is_only_sum: bool
) -> None:
    """Write the updates; those that leave null out are grouped, one condition per value."""
    groups: dict[str, list[tuple[Aggregate, At, str]]] = {}
    # The only addition comes first: should it overflow, nothing has changed.
    for one in sorted(written, key=lambda one: not (is_only_sum and one[0].adds)):
        aggregate, at, _ = one
        condition = f"if {at.value} is not None:" if aggregate.skips_null and at.can_be_null else ""
        groups.setdefault(condition, []).append(one)
    for condition, group in groups.items():
        if not condition:
            for aggregate, at, prepared in group:
                aggregate.update(code, at, prepared)
            continue
        with code.block(condition):
            for aggregate, at, prepared in group:
                aggregate.update(code, at, prepared)
