"""Aggregates that keep values: `collect`, `distinct`, `count_distinct`."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from headrace.operators.reduce.aggregates.aggregate import (
    Aggregate,
    Argument,
    At,
    Call,
    Writer,
    write_kept,
)
from headrace.runtime.errors import RecordError

LIMIT: Final = 1_000
MARK: Final = "\x00"
"""Begins the identity of a value that is not text."""


class Bounded(Aggregate):
    """An aggregate of at most so many values. Beyond them a record is refused, unless `keep` says which values stay."""

    arguments: ClassVar[tuple[Argument, ...]] = ("expression", "limit", "keep")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.limit = call.limit or LIMIT

    @property
    def state(self) -> tuple[object, ...]:
        return (*super().state, self.limit, self.call.keep)

    def problems(self, window: str | None) -> Sequence[str]:
        if (
            window in (None, "session")
            or self.call.keep is not None
            or "keep" not in self.arguments
        ):
            return ()
        expression = self.call.expressions[0].text
        example = f'{self.call.name}({expression}, {self.limit}, "last") or "first"'
        reason = f"because a {window} window is put together from parts"
        return (
            f"{self.call.text} needs to say which values stay when there are too many, {reason}: {example}",
        )


class Collect(Bounded):
    """The values, in the order of event time. Slots: their times, the values."""

    usage = 'collect(event.id), collect(event.id, 100) or collect(event.id, 100, "last")'
    slots = 2
    initial = "[], []"

    def prepare(self, code: Writer, at: At) -> str:
        if self.call.keep is None:
            full = code.constant(refuse_full, "refuse_full")
            length = code.constant(len, "length")
            code.line(
                f"if {length}({at.source()}) >= {self.limit} and {at.value} is not None:"
                f" {full}({self.call.text!r}, {self.call.name!r}, {self.limit})"
            )
        return write_kept(code, at.value, self.call.text)

    def update(self, code: Writer, at: At, prepared: str) -> None:
        collect = code.constant(add_in_time, "collect")
        code.line(
            f"{collect}({at.source()}, {at.source(1)}, {at.timestamp}, {prepared}, {self.limit}, {self.call.keep!r})"
        )

    def result(self, code: Writer, accumulator: str, slot: int) -> str:  # noqa: ARG002 # as its contract has it
        return f"{accumulator}[{slot + 1}][:]"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merge = code.constant(merge_in_time, "merge_in_time")
        code.line(f"{merge}({accumulator}, {other}, {slot}, {self.limit}, {self.call.keep!r})")


class Distinct(Bounded):
    """The different values, in the order in which they came first. The slot maps their identities to them."""

    usage = "distinct(event.user) or distinct(event.user, 100)"
    initial = "{}"

    def prepare(self, code: Writer, at: At) -> str:
        identity = code.variable("identity")
        identify = code.constant(identity_of, "identity_of")
        value = write_kept(code, at.value, self.call.text)
        code.line(f"{identity} = {identify}({value})")
        if self.call.keep is None:
            full = code.constant(refuse_full, "refuse_full")
            length = code.constant(len, "length")
            code.line(
                f"if {length}({at.source()}) >= {self.limit} and {at.value} is not None and {identity} not in {at.source()}:"
                f" {full}({self.call.text!r}, {self.call.name!r}, {self.limit})"
            )
        return f"{identity}, {self.stored(value)}"

    def stored(self, value: str) -> str:
        """Source of what is stored beside the identity."""
        return value

    def update(self, code: Writer, at: At, prepared: str) -> None:
        add = code.constant(add_distinct, "add_distinct")
        code.line(f"{add}({at.source()}, {prepared}, {self.limit}, {self.call.keep!r})")

    def result(self, code: Writer, accumulator: str, slot: int) -> str:  # noqa: ARG002 # as its contract has it
        return f"[*{accumulator}[{slot}].values()]"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merge = code.constant(merge_distinct, "merge_distinct")
        code.line(
            f"{merge}({accumulator}[{slot}], {other}[{slot}], {self.limit}, {self.call.keep!r})"
        )


class CountDistinct(Distinct):
    """How many different values there are."""

    usage = "count_distinct(event.user) or count_distinct(event.user, 10000)"
    arguments = ("expression", "limit")

    def stored(self, value: str) -> str:  # noqa: ARG002 # as its contract has it
        return "None"

    def result(self, code: Writer, accumulator: str, slot: int) -> str:
        return f"{code.constant(len, 'length')}({accumulator}[{slot}])"


def refuse_full(aggregation: str, name: str, limit: int) -> None:
    """Raise for a record that brings one value too many."""
    choice = (
        ""
        if name == "count_distinct"
        else ', or say which stay: a third argument of "first" or "last"'
    )
    raise RecordError(
        f"{aggregation} holds {limit:,} values already, and no more; raise the limit{choice}"
    )


def add_in_time(
    times: list[int], values: list[Any], time: int, value: Any, limit: int, keep: str | None
) -> None:
    """Put a value where its time belongs, behind those of the same time."""
    if not times or time >= times[-1]:
        if keep == "first" and len(times) >= limit:
            return
        times.append(time)
        values.append(value)
    else:
        place = bisect_right(times, time)
        times.insert(place, time)
        values.insert(place, value)
    _trim(times, values, limit, keep)


def merge_in_time(
    accumulator: list[Any], other: list[Any], slot: int, limit: int, keep: str | None
) -> None:
    """Add the collected values of another accumulator, behind those of the same times."""
    times, values = accumulator[slot], accumulator[slot + 1]
    is_behind = not times or not other[slot] or times[-1] <= other[slot][0]
    times += other[slot]
    values += other[slot + 1]
    if not is_behind:
        order = sorted(range(len(times)), key=times.__getitem__)
        times[:] = [times[place] for place in order]
        values[:] = [values[place] for place in order]
    _trim(times, values, limit, keep)


def _trim(times: list[int], values: list[Any], limit: int, keep: str | None) -> None:
    if keep is not None and len(times) > limit:
        over = slice(limit, None) if keep == "first" else slice(len(times) - limit)
        del times[over], values[over]


def identity_of(value: Any) -> str:
    """A text that is the same for equal values, and for no others: 1 and 1.0 are equal, and "1" is another value."""
    if value.__class__ is str and not value.startswith(MARK):
        return value
    if value.__class__ is float and value.is_integer():
        value = int(value)
    return MARK + json.dumps(value, sort_keys=True, default=lambda data: {MARK: data.hex()})


def add_distinct(
    seen: dict[str, Any], identity: str, value: Any, limit: int, keep: str | None
) -> None:
    """Note a value that is new."""
    if identity in seen or (keep == "first" and len(seen) >= limit):
        return
    seen[identity] = value
    if keep == "last" and len(seen) > limit:
        del seen[next(iter(seen))]


def merge_distinct(
    seen: dict[str, Any], other: dict[str, Any], limit: int, keep: str | None
) -> None:
    """Note the values of another accumulator that are new."""
    for identity, value in other.items():
        add_distinct(seen, identity, value, limit, keep)
