"""Topics that expressions name while records flow, and the size that each topic takes."""

import re
from collections.abc import Mapping
from typing import Any

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, Headers, Producer
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
        self._recount_s = 0.0

    def check_partition(self, value: Any, name: str) -> int:
        known = self.partitions.get(name)
        is_beyond = isinstance(value, int) and known is not None and value >= known
        if is_beyond and self._clock.monotonic_s() >= self._recount_s:  # it may have grown
            self._recount_s = self._clock.monotonic_s() + RECHECK_S
            self._existing()
        return super().check_partition(value, name)

    def _existing(self) -> Mapping[str, int]:
        existing = self._admin.topics()
        self.partitions.update({name: existing[name] for name in self.known & existing.keys()})
        return existing

    def _find(self, name: str) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._missing.get(name, -1.0):
            return False
        if name in self._existing():
            return True
        if self._settings.create_topics:
            if not LEGAL_NAME.fullmatch(name) or name in (".", ".."):
                rule = "a topic's name has 1 to 249 letters, digits, '.', '_' or '-'"
                error = RecordError(f"what the record names as its topic cannot be one: {rule}")
                error.add_note(f"{name!r} cannot be a topic: {rule}")
                raise error
            self._admin.create([new_output(name, self._topics.described, self._settings)])
            self._existing()
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
    if not smaller:
        return
    produce = producer.produce

    def checked(
        topic: str,
        value: bytes | None = None,
        key: bytes | str | None = None,
        partition: int = -1,
        callback: Any = None,
        on_delivery: Any = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        limit = smaller.get(topic)
        if limit is not None:
            size = RECORD_OVERHEAD_BYTES + _size(value) + _size(key)
            size += sum(_size(name) + _size(text) + 2 for name, text in headers or ())
            if size > limit:
                raise RecordError(
                    f"the record has {size} bytes, and topic '{topic}' takes {limit} (max.message.bytes)"
                )
        produce(topic, value, key, partition, callback, on_delivery, timestamp, headers)

    producer.produce = checked  # type: ignore[method-assign] # generated code takes what is there


def _size(part: bytes | str | None) -> int:
    return len(part.encode() if isinstance(part, str) else part or b"")
