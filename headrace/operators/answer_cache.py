"""Answers of a lookup that are remembered for a while."""

from collections import OrderedDict
from datetime import timedelta
from typing import Any, Final

from pydantic import Field

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration

UNKNOWN: Final = object()
"""What is remembered of a question that was not asked lately."""


class CacheConfig(ActionConfig):
    """How long answers count, and how many."""

    ttl: Duration = Field(timedelta(minutes=1), description="how long what was found counts")
    missing_ttl: Duration = Field(
        timedelta(seconds=10), description="how long it counts that there is nothing; 0s for never"
    )
    entries: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="answers at most; the one used longest ago goes first",
    )


class AnswerCache:
    """Belongs to one event loop. Time is that of the clock, which never goes back."""

    def __init__(self, config: CacheConfig, clock: Clock) -> None:
        self._entries_max = config.entries
        self._ttl_s = config.ttl.total_seconds()
        self._missing_ttl_s = config.missing_ttl.total_seconds()
        self._clock = clock
        self._held: OrderedDict[str, tuple[Any, float]] = OrderedDict()

    def get(self, question_id: str) -> Any:
        """The answer, None where it is known that there is nothing, or `UNKNOWN`."""
        held = self._held.get(question_id)
        if held is None:
            return UNKNOWN
        if self._clock.monotonic_s() >= held[1]:
            del self._held[question_id]
            return UNKNOWN
        self._held.move_to_end(question_id)
        return held[0]

    def put(self, question_id: str, found: Any) -> None:
        """Remember an answer. It is shared by all who ask, so nobody may change it."""
        ttl_s = self._missing_ttl_s if found is None else self._ttl_s
        if not ttl_s:
            return
        self._held[question_id] = (found, self._clock.monotonic_s() + ttl_s)
        self._held.move_to_end(question_id)
        if len(self._held) > self._entries_max:
            self._held.popitem(last=False)

    def __len__(self) -> int:
        return len(self._held)
