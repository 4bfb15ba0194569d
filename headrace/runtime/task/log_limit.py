"""Keeps a flood of like failures from flooding the log."""

import logging
from collections.abc import Hashable

from headrace.runtime.clock import Clock

logger = logging.getLogger("headrace.failures")

FREE_LINES = 5
"""Lines that a subject may log before the limit holds."""
PAUSE_S = 10.0
"""Afterwards one line per subject and pause, which tells how many were left out."""
SUBJECTS_MAX = 1_000


class LogLimit:
    """Logs the first lines of a subject, then one every ten seconds. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[Hashable, int] = {}
        self._next_s: dict[Hashable, float] = {}
        self._left_out: dict[Hashable, int] = {}

    def warning(self, subject: Hashable, text: str) -> None:
        """Log a line about this subject, or count it as left out."""
        if len(self._lines) >= SUBJECTS_MAX and subject not in self._lines:
            subject = None
        count = self._lines.get(subject, 0)
        now_s = self._clock.monotonic_s()
        if count >= FREE_LINES and now_s < self._next_s.get(subject, 0.0):
            self._left_out[subject] = self._left_out.get(subject, 0) + 1
            return
        self._lines[subject] = count + 1
        self._next_s[subject] = now_s + PAUSE_S
        left_out = self._left_out.pop(subject, 0)
        logger.warning("%s%s", text, f" (and {left_out} more like it)" if left_out else "")
