"""Accumulators of an earlier document, of which some aggregates are there no more, and to which others were added."""

from collections.abc import Sequence
from typing import Any

from headrace.operators.reduce.accumulator import Accumulator
from headrace.operators.reduce.aggregates import AGGREGATES, Aggregate
from headrace.runtime.contracts.action import Migration

State = tuple[str, ...]
SLOTS = {kind.__name__: kind.slots for kind in AGGREGATES.values()}
NAMES = {kind.__name__: name for name, kind in AGGREGATES.items()}


def carried_over(accumulator: Accumulator, slots: Any) -> Migration | None:
    """How accumulators whose shape was `slots` become ones of this shape; None where nothing of them would be left.

    Also None where an aggregate only takes another limit or the like: it would begin empty, which nobody would expect.
    """
    before = _places(slots)
    if before is None:
        return None
    own = [
        (tuple(state), aggregate, slot)
        for state, (aggregate, slot) in zip(accumulator.shape, accumulator.parts, strict=True)
    ]
    kept = [
        (slot, aggregate.slots, before[state]) for state, aggregate, slot in own if state in before
    ]
    added = [(state, aggregate) for state, aggregate, _ in own if state not in before]
    there = {state for state, *_ in own}
    removed = [state for state in before if state not in there]
    if any(_is_other_limit(state, aggregate, removed) for state, aggregate in added):
        return None
    if not kept:
        return None
    new = accumulator.new

    def convert(earlier: list[Any]) -> list[Any]:
        made = new()
        for slot, size, place in kept:
            made[slot : slot + size] = earlier[place : place + size]
        return made

    words = [f"{_fields(accumulator, state)} counts from now on" for state, _ in added]
    words += [f"{_call(state)} is forgotten" for state in removed]
    return Migration("; ".join(words) or "aggregates change places", convert)


def _places(slots: Any) -> dict[State, int] | None:
    """Where each aggregate of an earlier shape has its first slot; None when one is not known any more."""
    if not isinstance(slots, list):
        return None
    found: dict[State, int] = {}
    place = 0
    for state in slots:
        if state[0] not in SLOTS:
            return None
        found[tuple(state)] = place
        place += SLOTS[state[0]]
    return found


def _is_other_limit(state: Sequence[str], aggregate: Aggregate, removed: Sequence[State]) -> bool:
    """Whether an added aggregate was there before with another limit or the like, which a state ends with."""
    same = tuple(state[: 1 + len(aggregate.call.expressions)])
    return len(state) > len(same) and any(earlier[: len(same)] == same for earlier in removed)


def _fields(accumulator: Accumulator, state: Sequence[str]) -> str:
    """The fields of results that an aggregate makes."""
    wanted = tuple(map(str, state))
    told = [
        f"{field} = {aggregate.call.text}"
        for field, aggregate, _ in accumulator.fields
        if tuple(map(str, aggregate.state)) == wanted
    ]
    return ", ".join(told)


def _call(state: Sequence[str]) -> str:
    """An aggregate of an earlier shape as it may have been written."""
    return f"{NAMES[state[0]]}({', '.join(state[1:])})"
