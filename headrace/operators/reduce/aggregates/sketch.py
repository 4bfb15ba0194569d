"""`quantile`: a sketch of all values that answers within one percent.

Values are counted in buckets whose bounds grow by a constant factor, as in DDSketch (Masson, Rim, Lee: "DDSketch: a fast and
fully-mergeable quantile sketch with relative-error guarantees", 2019): the middle of a bucket is at most `ERROR` away from every
value in it, relative to the value. Buckets have whole numbers in the order of the values, negative ones mirrored, 0 for zero.
"""

import math
from bisect import bisect_left
from typing import Any, Final

from headrace.operators.reduce.aggregates.aggregate import Aggregate, At, Writer
from headrace.runtime.errors import RecordError

ERROR: Final = 0.01
BUCKETS_MAX: Final = 2_048
"""Enough for positive values that differ by a factor of 10 ** 17. Beyond, those nearest to zero share a bucket."""

_GROWTH: Final = (1 + ERROR) / (1 - ERROR)
_LOG_GROWTH: Final = math.log(_GROWTH)
_MIDDLE: Final = 2 / (_GROWTH + 1)
_SHIFT: Final = 40_000
"""Makes the bucket of the smallest positive value positive."""


class Quantile(Aggregate):
    """The value below which a share of the values lies; null of none.

    Slots: buckets in use, in order, how many values each has, and the smallest and the largest value, which are exact.
    """

    usage = "quantile(event.ms, 0.95)"
    slots = 4
    initial = "[], [], None, None"
    arguments = ("expression", "share")
    needed = 2
    takes = "number"

    def prepare(self, code: Writer, at: At) -> str:
        bucket = code.variable("bucket")
        find = code.constant(bucket_of, "bucket_of")
        code.line(f"{bucket} = {find}({at.value}, {self.call.text!r})")
        return bucket

    def update(self, code: Writer, at: At, prepared: str) -> None:
        add = code.constant(add_to_sketch, "add_to_sketch")
        code.line(f"{add}({at.accumulator}, {at.slot}, {prepared}, {at.value})")

    def result(self, code: Writer, accumulator: str, slot: int) -> str:
        read = code.constant(quantile_of, "quantile_of")
        return f"{read}({accumulator}, {slot}, {self.call.share!r})"

    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        merge = code.constant(merge_sketch, "merge_sketch")
        code.line(f"{merge}({accumulator}, {other}, {slot})")


def bucket_of(value: Any, aggregation: str) -> int | None:
    """The bucket of a number."""
    if value is None:
        return None
    try:
        if value > 0:
            return math.ceil(math.log(value) / _LOG_GROWTH) + _SHIFT
        return -(math.ceil(math.log(-value) / _LOG_GROWTH) + _SHIFT) if value else 0
    except (OverflowError, ValueError):
        raise RecordError(f"{aggregation} takes finite numbers") from None


def add_to_sketch(accumulator: list[Any], slot: int, bucket: int, value: float) -> None:
    """Count a value in its bucket."""
    buckets, counts, low, high = accumulator[slot : slot + 4]
    place = bisect_left(buckets, bucket)
    if place < len(buckets) and buckets[place] == bucket:
        counts[place] += 1
    else:
        buckets.insert(place, bucket)
        counts.insert(place, 1)
        _bound(buckets, counts)
    if low is None or value < low:
        accumulator[slot + 2] = value
    if high is None or value > high:
        accumulator[slot + 3] = value


def merge_sketch(accumulator: list[Any], other: list[Any], slot: int) -> None:
    """Add the counts of another sketch."""
    if other[slot + 2] is None:
        return
    found = dict(zip(accumulator[slot], accumulator[slot + 1], strict=True))
    for bucket, count in zip(other[slot], other[slot + 1], strict=True):
        found[bucket] = found.get(bucket, 0) + count
    accumulator[slot] = sorted(found)
    accumulator[slot + 1] = [found[bucket] for bucket in accumulator[slot]]
    _bound(accumulator[slot], accumulator[slot + 1])
    low, high = accumulator[slot + 2], accumulator[slot + 3]
    accumulator[slot + 2] = other[slot + 2] if low is None else min(low, other[slot + 2])
    accumulator[slot + 3] = other[slot + 3] if high is None else max(high, other[slot + 3])


def _bound(buckets: list[int], counts: list[int]) -> None:
    """Join the bucket nearest to zero with its neighbour away from zero, until there are few enough."""
    while len(buckets) > BUCKETS_MAX:
        place = min(range(len(buckets)), key=lambda i: abs(buckets[i]))
        is_last = place == len(buckets) - 1
        into = place - 1 if is_last or (buckets[place] < 0 and place > 0) else place + 1
        counts[into] += counts[place]
        del buckets[place], counts[place]


def quantile_of(accumulator: list[Any], slot: int, share: float) -> float | None:
    """The value at a share of the way from the smallest to the largest, in their order, rounded down."""
    buckets, counts, low, high = accumulator[slot : slot + 4]
    if low is None:
        return None
    rank = math.floor(share * (sum(counts) - 1))
    if rank == 0:
        return low  # type: ignore[no-any-return] # a number
    if rank == sum(counts) - 1:
        return high  # type: ignore[no-any-return] # a number
    before = 0
    for bucket, count in zip(buckets, counts, strict=True):
        before += count
        if before > rank:
            return max(low, min(high, _middle(bucket)))  # type: ignore[no-any-return] # numbers
    raise AssertionError("the rank is below the number of values")


def _middle(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    try:
        size = _MIDDLE * _GROWTH ** (abs(bucket) - _SHIFT)
    except OverflowError:
        size = math.inf
    return size if bucket > 0 else -size
