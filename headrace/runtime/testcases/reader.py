"""Reads what flows have committed, as any read-committed consumer would."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from headrace.runtime.contracts.broker import (
    Admin,
    Broker,
    Consumer,
    ConsumerSettings,
    Message,
    TopicPartition,
)

GROUP = "headrace-test-reader"
RECORDS_MAX = 10_000


class TopicReader(Protocol):
    """What a driver needs to see what was committed."""

    def topics(self) -> tuple[str, ...]:
        """The topics that exist now, without those between stages."""

    def read(self, topic: str) -> Sequence[Message]:
        """All records of a topic so far."""

    def close(self) -> None: ...


class Reader:
    """Keeps every record that it has read. `unread` are topics that it leaves alone: those between stages, which are purged."""

    def __init__(self, broker: Broker, admin: Admin, unread: Collection[str]) -> None:
        self._broker = broker
        self._admin = admin
        self._unread = frozenset(unread)
        self._subscribed: tuple[str, ...] = ()
        self._next: dict[TopicPartition, int] = {}
        self._records: dict[str, list[Message]] = {}
        self._consumer: Consumer = broker.consumer(
            ConsumerSettings(group=GROUP, client_id=GROUP, session_timeout_ms=1_800_000)
        )

    def topics(self) -> tuple[str, ...]:
        """The topics that exist now."""
        return tuple(name for name in self._admin.topics() if name not in self._unread)

    def read(self, topic: str) -> Sequence[Message]:
        """All records of a topic, in the order seen; those that one call finds come by partition and offset."""
        topics = self.topics()
        if topics != self._subscribed:
            self._consumer.subscribe(topics, self)
            self._subscribed = topics
        found: list[Message] = []
        while messages := self._consumer.consume(RECORDS_MAX, 0.0):
            found += messages
        for message in sorted(found, key=lambda one: (one.partition(), one.offset())):
            self._records.setdefault(message.topic(), []).append(message)
            partition = TopicPartition(message.topic(), message.partition())
            self._next[partition] = message.offset() + 1
        return self._records.get(topic, ())

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {partition: self._next.get(partition, 0) for partition in partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is ever committed here."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Being read by nobody else, they come back."""

    def close(self) -> None:
        self._consumer.close()
