"""The only module that reads the time."""

import asyncio
import time
from threading import Condition
from typing import Protocol


class Clock(Protocol):
    """Where wall-clock time comes from. Thread-safe."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def monotonic_s(self) -> float:
        """Seconds that never go backwards, from an arbitrary beginning."""

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


async def pause(clock: Clock, seconds: float) -> None:
    """`Clock.sleep` in an event loop, which goes on with other things meanwhile."""
    if isinstance(clock, SystemClock):
        await asyncio.sleep(seconds)
    else:
        clock.sleep(seconds)
        await asyncio.sleep(0)


class ManualClock:
    """A clock that moves only when a test moves it.

    `sleep` moves the clock itself, so that code which waits never blocks a test.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = float(now_ms)
        self._changed = Condition()

    def now_ms(self) -> int:
        with self._changed:
            return int(self._now_ms)

    def monotonic_s(self) -> float:
        with self._changed:
            return self._now_ms / 1000

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`, which is not negative."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: {seconds} s")
        with self._changed:
            self._now_ms += seconds * 1000
            self._changed.notify_all()
