"""Topics that expressions name while records flow, and the size that each topic takes."""

import re
from collections.abc import Mapping
from typing import Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, Producer
from headrace.runtime.errors import RecordError
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.task.program import Topics
from headrace.runtime.worker.topics import TopicsInUse, new_output

RECHECK_S = 5.0
"""A topic that was missing is looked for again after this time, not for every record."""
MISSING_MAX = 10_000
RECORD_OVERHEAD_BYTES = 70
LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class OutputTopics(Topics):
    """Knows the plan's topics, and finds or creates those that an expression names."""

    def __init__(
        self, admin: Admin, topics: TopicsInUse, settings: WorkerSettings, clock: Clock
    ) -> None:
        super().__init__(topics.partitions, self._find)
        self._admin = admin
        self._topics = topics
        self._settings = settings
        self._clock = clock
        self._missing: dict[str, float] = {}

    def _find(self, name: str) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._missing.get(name, -1.0):
            return False
        if name in self._admin.topics():
            return True
        if self._settings.create_topics:
            if not LEGAL_NAME.fullmatch(name) or name in (".", ".."):
                raise RecordError(
                    f"{name!r} cannot be a topic: a name has 1 to 249 letters, digits, '.', '_' or '-'"
                )
            self._admin.create([new_output(name, self._topics.described, self._settings)])
            return True
        if len(self._missing) >= MISSING_MAX:
            self._missing.clear()
        self._missing[name] = now_s + RECHECK_S
        return False


def limited_produce(producer: Producer, limits: Mapping[str, int], largest: int) -> None:
    """Make a producer refuse records that are larger than their topic takes.

    The client refuses what is larger than the largest of the limits by itself; only topics with a smaller limit
    make the check worth its time.
    """
    smaller = {
        topic: limit for topic, limit in limits.items() if limit < largest - RECORD_OVERHEAD_BYTES
    }
    if not smaller or all(limit >= 1_000_000 for limit in smaller.values()):
        return
    produce = producer.produce

    def checked(
        topic: str, value: bytes | None = None, key: Any = None, *given: Any, **named: Any
    ) -> None:
        limit = smaller.get(topic)
        if limit is not None:
            size = len(value or b"") + len(key or b"") + RECORD_OVERHEAD_BYTES
            if size > limit:
                raise RecordError(
                    f"the record has {size} bytes, and topic '{topic}' takes {limit} (max.message.bytes)"
                )
        produce(topic, value, key, *given, **named)

    producer.produce = checked  # type: ignore[method-assign] # generated code takes what is there
