"""Naive models of the joins: lists and loops over all records, to compare the operators and the engine with.

Times are ms. A result is (left, right, event time); a side that has no match is None, and a deleted result is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Side = Literal["left", "right", "none"]
Kind = Literal["inner", "left", "outer"]
Result = tuple[Any, Any, int]


class Arrival(NamedTuple):
    """A record, in the order of arrival. `event` is unique in a test, or None to delete a row.

    One of the side `none` does no more than move the watermark.
    """

    side: Side
    event: Any
    time_ms: int
    key: str | None = ""


class Streams(NamedTuple):
    """A join of two streams."""

    kind: Kind
    before_ms: int
    after_ms: int
    grace_ms: int

    def matches(self, left: Arrival, right: Arrival) -> bool:
        return -self.before_ms <= right.time_ms - left.time_ms <= self.after_ms

    def pair(self, one: Arrival, other: Arrival) -> bool:
        if one.side == other.side or one.key != other.key:
            return False
        return self.matches(one, other) if one.side == "left" else self.matches(other, one)

    def reports(self, side: Side) -> bool:
        return self.kind == "outer" or (self.kind == "left" and side == "left")

    def ends(self, one: Arrival) -> int:
        """The last watermark at which a record's window is still open."""
        return (
            one.time_ms + self.grace_ms + (self.after_ms if one.side == "left" else self.before_ms)
        )


def streams_at_once(join: Streams, arrivals: Sequence[Arrival]) -> list[Result]:
    """What comes out, in any order, when no record is older than the watermark less the grace: all records at once."""
    results: list[Result] = []
    for one in arrivals:
        partners = [other for other in arrivals if join.pair(one, other)]
        if one.side == "left":
            results += [
                (one.event, other.event, max(one.time_ms, other.time_ms)) for other in partners
            ]
        if not partners and join.reports(one.side):
            results.append(_result(one, None))
    return results


def streams_one_by_one(
    join: Streams, arrivals: Sequence[Arrival], end_ms: int
) -> tuple[list[list[Result]], list[Any]]:
    """What each record makes come out, at last what the watermark `end_ms` does, and which events are late."""
    watermark = -1
    kept: list[Arrival] = []
    matched: set[Any] = set()
    steps: list[list[Result]] = []
    late: list[Any] = []
    for one in [*arrivals, None]:
        watermark = max(watermark, end_ms if one is None else one.time_ms)
        ended = [
            old
            for old in kept
            if join.reports(old.side) and old.event not in matched and join.ends(old) < watermark
        ]
        results = [_result(old, None) for old in sorted(ended, key=lambda old: old.time_ms)]
        reach = join.before_ms + join.after_ms + join.grace_ms
        kept = [old for old in kept if old not in ended and old.time_ms + reach >= watermark]
        if one is not None and one.side != "none":
            partners = sorted(
                (old for old in kept if join.pair(one, old)), key=lambda old: old.time_ms
            )
            results += [_result(one, old) for old in partners]
            matched.update(old.event for old in partners)
            is_kept = one.time_ms + reach >= watermark
            if partners:
                matched.add(one.event)
            elif not is_kept or (join.reports(one.side) and join.ends(one) < watermark):
                late.append(one.event)
                is_kept = False
            if is_kept:
                kept.append(one)
        steps.append(results)
    return steps, late


def _result(one: Arrival, other: Arrival | None) -> Result:
    time_ms = max(one.time_ms, other.time_ms) if other else one.time_ms
    there = other.event if other else None
    return (one.event, there, time_ms) if one.side == "left" else (there, one.event, time_ms)


def tables(kind: Kind, arrivals: Iterable[Arrival]) -> list[Result | None]:
    """Every change of the result of one key, in order: the result's rows from scratch after every change of a row."""
    rows: dict[str, Arrival] = {}
    changes: list[Result | None] = []
    was_there = False
    for one in arrivals:
        rows.pop(one.side, None)
        if one.event is not None:
            rows[one.side] = one
        needed = {"inner": {"left", "right"}, "left": {"left"}, "outer": set()}[kind]
        is_there = bool(rows) and needed <= rows.keys()
        if is_there:
            left, right = rows.get("left"), rows.get("right")
            times = [one.time_ms, *(row.time_ms for row in rows.values())]
            changes.append((left and left.event, right and right.event, max(times)))
        elif was_there:
            changes.append(None)
        was_there = is_there
    return changes


def by_foreign_key(
    kind: Kind,
    left: Mapping[bytes, tuple[Any, bytes | None]],
    right: Mapping[bytes, Any],
) -> dict[bytes, tuple[Any, Any]]:
    """The result by left key: of left rows (with their foreign keys) and right rows."""
    found = {key: (row, None if by is None else right.get(by)) for key, (row, by) in left.items()}
    return {key: pair for key, pair in found.items() if kind == "left" or pair[1] is not None}


def row_as_of(versions: Sequence[Arrival], time_ms: int) -> Any:
    """The row that was valid at a time: of the versions until then the latest, of equal ones the last that came."""
    valid = None
    for version in versions:
        if version.time_ms <= time_ms and (valid is None or version.time_ms >= valid.time_ms):
            valid = version
    return valid.event if valid else None
