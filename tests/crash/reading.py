"""What a read-committed reader sees of topics."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from headrace.connectors.kafka import KafkaBroker


class Found(NamedTuple):
    """A committed record."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes

    @property
    def event(self) -> Any:
        return orjson.loads(self.value)

    @property
    def place(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


def read_committed(brokers: str, topics: Iterable[str]) -> Iterator[Found | None]:
    """Records from the beginning on, without an end; None whenever nothing came for a second."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    admin = KafkaBroker(brokers).admin()
    try:
        counts = admin.topics()
        consumer.assign([Place(t, p, 0) for t in topics for p in range(counts.get(t, 0))])
        while True:
            messages = consumer.consume(5_000, 1.0)
            for message in messages:
                assert message.error() is None, message.error()
                yield Found(
                    str(message.topic()),
                    int(message.partition() or 0),
                    int(message.offset() or 0),
                    message.key() or b"",
                    message.value() or b"",
                )
            if not messages:
                yield None
    finally:
        consumer.close()
        admin.close()
