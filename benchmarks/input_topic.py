"""The input of the benchmarks, and what is to become of it."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import Producer
from orjson import dumps

from benchmarks.topics import create, records_of

USERS = 10_000
FIRST_MS = 1_700_000_000_000
SEED = 1
KINDS = ("click", "view", "buy")


@dataclass(frozen=True)
class Input:
    """The topic that was filled. `is_kept` tells per partition, with a byte per offset, whether a record is no view."""

    topic: str
    is_kept: Mapping[int, bytearray]

    def kept_before(self, positions: Mapping[int, int]) -> int:
        """How many records come out when everything before these positions went in."""
        return sum(
            self.is_kept[partition].count(1, 0, offset) for partition, offset in positions.items()
        )


def events(count: int, seed: int = SEED) -> Iterator[dict[str, object]]:
    """Shop events of about 200 bytes as JSON, a millisecond of event time apart, the same ones for the same seed."""
    choose = random.Random(seed)
    for i in range(count):
        yield {
            "id": i,
            "user": f"user-{choose.randrange(USERS)}",
            "kind": choose.choice(KINDS),
            "amount": round(choose.random() * 100, 2),
            "time": FIRST_MS + i,
            "page": f"https://shop.example/products/{choose.randrange(1_000)}",
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit",
        }


def write(brokers: str, topic: str, records: Iterable[tuple[bytes, str, int]]) -> None:
    """Write records of (value, key, event time) to a topic, and wait until they are there."""
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 50,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )
    for value, key, time_ms in records:
        while True:
            try:
                producer.produce(topic, value, key, timestamp=time_ms)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def fill(brokers: str, topic: str, count: int) -> Input:
    """Create the topic with four partitions, write `count` events to it and read them back."""
    create(brokers, topic)
    write(
        brokers,
        topic,
        ((dumps(event), str(event["user"]), FIRST_MS + i) for i, event in enumerate(events(count))),
    )
    is_kept: dict[int, bytearray] = {}
    for message in records_of(brokers, topic):
        value = message.value() or b""
        is_kept.setdefault(message.partition() or 0, bytearray()).append(
            b'"kind":"view"' not in value
        )
    assert sum(map(len, is_kept.values())) == count, "the topic holds exactly what was written"
    return Input(topic, is_kept)
