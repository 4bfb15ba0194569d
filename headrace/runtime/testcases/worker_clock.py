"""Time as a worker under test sees it."""

from datetime import timedelta

from headrace.runtime.clock import Clock


class WorkerClock:
    """A clock whose wall time is the test's, and whose monotonic time also passes when the test says so.

    A worker commits when its interval is over. Moving only its monotonic time makes it commit without changing
    the timestamps of what it writes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed_s = 0.0

    def pass_by(self, time: timedelta) -> None:
        """Let monotonic time pass."""
        self._passed_s += time.total_seconds()

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s() + self._passed_s

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
