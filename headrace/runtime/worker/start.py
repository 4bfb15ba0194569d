"""Where partitions begin that the group has no position for."""

from collections.abc import Iterable, Mapping, Sequence

import re2

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import Source, Start, TriggerAction
from headrace.runtime.contracts.broker import Admin, Consumer, TopicPartition
from headrace.runtime.plan import Plan


class StartPositions:
    """Finds the first position of partitions.

    `uncommitted` are partitions whose first position was chosen here and is not committed yet: they are part of the
    next commit even when nothing was read, so that `latest` or `-1h` means the first start and not the last one.
    """

    def __init__(self, plans: Sequence[Plan], admin: Admin, clock: Clock) -> None:
        self.uncommitted: set[TopicPartition] = set()
        self._admin = admin
        self._clock = clock
        self._sources = [
            node.action.source()
            for plan in plans
            for node in plan.graph.nodes
            if isinstance(node.action, TriggerAction)
        ]

    def find(
        self, consumer: Consumer, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The committed positions, or for partitions without one the place that their trigger's `start` names."""
        partitions = list(partitions)
        found = consumer.committed(partitions)
        by_start: dict[Start, list[TopicPartition]] = {}
        for partition in partitions:
            if partition not in found:
                by_start.setdefault(self._start(partition.topic), []).append(partition)
        for start, group in by_start.items():
            at = _absolute(start, self._clock.now_ms()) if isinstance(start, int) else start
            found.update(self._admin.offsets(group, at))
            self.uncommitted.update(group)
        return found

    def lost_records(
        self, consumer: Consumer, begun: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Assigned partitions whose position is not there any more, with the first offset that is.

        `begun` is where partitions stand of which nothing was read yet.
        """
        assigned = consumer.assignment()
        positions = {**begun, **consumer.positions()}
        earliest = self._admin.offsets(assigned, "earliest")
        return {p: first for p, first in earliest.items() if positions.get(p, first) < first}

    def may_skip(self, lost: Mapping[TopicPartition, int]) -> bool:
        """Whether every trigger that reads these partitions says `on_data_loss: continue`."""
        return all(
            source.on_data_loss == "continue"
            for partition in lost
            for source in self._of(partition.topic)
        )

    def _start(self, topic: str) -> Start:
        """The earliest of the starts of all triggers that read a topic; link topics are read from their beginning."""
        starts = [source.start for source in self._of(topic)]
        if not starts or "earliest" in starts:
            return "earliest"
        times = [start for start in starts if isinstance(start, int)]
        if not times:
            return "latest"
        now_ms = self._clock.now_ms()
        return min(times, key=lambda time: _absolute(time, now_ms))

    def _of(self, topic: str) -> list[Source]:
        return [
            source
            for source in self._sources
            if topic in source.topics or (source.pattern and re2.fullmatch(source.pattern, topic))
        ]


def _absolute(time: int, now_ms: int) -> int:
    """A time in milliseconds since 1970 UTC; a negative one counts back from now, and 1970 is as far back as it goes."""
    return time if time >= 0 else max(now_ms + time, 0)
