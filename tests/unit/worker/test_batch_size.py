"""A batch takes about a tenth of a second."""

import pytest

from headrace.runtime.clock import ManualClock
from headrace.runtime.worker.batch_size import RECORDS_FIRST, RECORDS_MAX, BatchSize


def timed(size: BatchSize, clock: ManualClock, count: int, seconds: float) -> int:
    with size.timed(count):
        clock.advance(seconds)
    return size.records


def test_a_batch_grows_fourfold_at_most_and_to_a_bound() -> None:
    clock = ManualClock()
    size = BatchSize(clock)

    grown = [timed(size, clock, size.records, 0.0) for _ in range(5)]

    assert grown == [400, 1_600, 6_400, RECORDS_MAX, RECORDS_MAX]


def test_a_batch_shrinks_at_once_and_to_one_record() -> None:
    clock = ManualClock()
    size = BatchSize(clock)

    assert timed(size, clock, 100, 1.0) == 10
    assert timed(size, clock, 10, 100.0) == 1


def test_a_small_batch_says_nothing_about_a_large_one() -> None:
    clock = ManualClock()
    size = BatchSize(clock)

    assert timed(size, clock, 1, 0.0) == RECORDS_FIRST


def test_a_batch_that_fails_teaches_nothing() -> None:
    clock = ManualClock()
    size = BatchSize(clock)

    with pytest.raises(ValueError, match="cannot go back"), size.timed(100):
        clock.advance(-1)

    assert size.records == RECORDS_FIRST
