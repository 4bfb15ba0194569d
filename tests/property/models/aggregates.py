"""What every aggregate is, computed over all values at once."""

import math
from collections.abc import Callable, Sequence
from typing import Any

Timed = Sequence[tuple[int, Any]]
"""Event times and values, in order of arrival, without nulls."""


def values(records: Timed) -> list[Any]:
    return [value for _, value in records]


def in_time(records: Timed) -> list[Any]:
    return values(sorted(records, key=lambda one: one[0]))


def quantile(records: Timed, share: float) -> Any:
    found = sorted(values(records))
    return found[math.floor(share * (len(found) - 1))] if found else None


def mean(records: Timed) -> float | None:
    return sum(values(records)) / len(records) if records else None


def last(records: Timed) -> Any:
    found = [value for time, value in records if time == max(one[0] for one in records)]
    return found[-1] if found else None


NAIVE: dict[str, Callable[[Timed], Any]] = {
    "count()": len,
    "count(event.v > 0)": lambda records: sum(value > 0 for value in values(records)),
    "sum(event.v)": lambda records: sum(values(records)),
    "min(event.v)": lambda records: min(values(records), default=None),
    "max(event.v)": lambda records: max(values(records), default=None),
    "mean(event.v)": mean,
    "first(event.v)": lambda records: next(iter(in_time(records)), None),
    "last(event.v)": last,
    "collect(event.v)": in_time,
    'collect(event.v, 3, "first")': lambda records: in_time(records)[:3],
    'collect(event.v, 3, "last")': lambda records: in_time(records)[-3:],
    "distinct(event.v)": lambda records: list(dict.fromkeys(values(records))),
    "count_distinct(event.v)": lambda records: len(set(values(records))),
    "top(event.v, 3)": lambda records: sorted(values(records), reverse=True)[:3],
    "bottom(event.v, 3)": lambda records: sorted(values(records))[:3],
    "top(event.v, 3, timestamp)": lambda records: [
        time for time, _ in sorted(records, key=lambda one: -one[1])[:3]
    ],
    "quantile(event.v, 0)": lambda records: quantile(records, 0),
    "quantile(event.v, 1)": lambda records: quantile(records, 1),
}
"""Aggregations whose results are exact."""
