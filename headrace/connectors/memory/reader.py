"""A reader of partitions in memory, in no group."""

from collections.abc import Mapping
from typing import cast

from headrace.connectors.memory.cluster import Cluster
from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.errors import ClosedError, DataLossError


class MemoryReader:
    """See `contracts.broker.Reader`."""

    def __init__(self, cluster: Cluster, client_id: str) -> None:
        self._cluster = cluster
        self._client_id = client_id
        self._next: dict[TopicPartition, int] = {}
        self._turn = 0
        self._is_closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        self._next = dict(positions)

    def read(self, count: int, timeout_s: float) -> list[Message]:
        self._check_open()
        clock = self._cluster.clock
        deadline_s = clock.monotonic_s() + timeout_s
        with self._cluster.changed:
            while True:
                found = self._read(count) if self._cluster.is_running else []
                remaining_s = deadline_s - clock.monotonic_s()
                if found or not self._cluster.may_wait or remaining_s <= 0:
                    return cast("list[Message]", found)
                self._cluster.changed.wait(remaining_s)

    def _read(self, count: int) -> list[MemoryMessage]:
        self._cluster.transactions.expire(self._cluster.clock.now_ms())
        partitions = list(self._next)
        for partition in partitions:
            self._check_range(partition)
        if not partitions:
            return []
        # Each call begins with the next partition, so that none starves behind a long one.
        self._turn = (self._turn + 1) % len(partitions)
        found: list[MemoryMessage] = []
        for partition in partitions[self._turn :] + partitions[: self._turn]:
            messages, after = self._cluster.log(partition).read(
                self._next[partition], count - len(found)
            )
            found += messages
            self._next[partition] = after
        return found

    def _check_range(self, partition: TopicPartition) -> None:
        log, position = self._cluster.log(partition), self._next[partition]
        if not log.start <= position <= log.end:
            raise DataLossError(
                f"'{self._client_id}' wants to read {partition} from offset {position}, "
                f"but the broker holds {log.start} to {log.end}; records were deleted before they were "
                "read: look at the topic's retention"
            )

    def positions(self) -> dict[TopicPartition, int]:
        return dict(self._next)

    def close(self) -> None:
        self._is_closed = True
        self._next.clear()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the reader '{self._client_id}' is closed")
