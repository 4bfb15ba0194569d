"""How many records a member reads at once: many when they are cheap, few when they are slow."""

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.runtime.clock import Clock

RECORDS_FIRST = 100
RECORDS_MAX = 10_000
BATCH_S = 0.1
"""The time that a batch should take, so that commits and the group's polls are never late."""
GROWTH = 4


class BatchSize:
    """Adapts to the time that records take. A batch grows fourfold at most; it shrinks at once."""

    def __init__(self, clock: Clock) -> None:
        self.records = RECORDS_FIRST
        self._clock = clock

    @contextmanager
    def timed(self, count: int) -> Iterator[None]:
        """Learn from a batch of `count` records that is processed inside."""
        begun_s = self._clock.monotonic_s()
        yield
        taken_s = max(self._clock.monotonic_s() - begun_s, 1e-6)
        fitting = int(count * BATCH_S / taken_s)
        if fitting < self.records or count >= self.records:
            self.records = max(1, min(fitting, self.records * GROWTH, RECORDS_MAX))
