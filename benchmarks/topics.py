"""The broker's side of a benchmark: topics made, read to their end, and removed."""

import time
import uuid
from collections.abc import Iterator

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTITIONS = 4
ANSWER_S = 30.0
CREATE_ATTEMPTS = 100


def _admin(brokers: str) -> AdminClient:
    """Errors alone are logged: the client's notes on its own end would stand between the figures."""
    return AdminClient({"bootstrap.servers": brokers, "log_level": 3})


def create(brokers: str, topic: str, *, is_compacted: bool = False) -> None:
    """Create a topic that keeps records of any age. Waits while an earlier one of that name is being removed."""
    admin = _admin(brokers)
    config = {"retention.ms": "-1", "cleanup.policy": "compact" if is_compacted else "delete"}
    wanted = NewTopic(topic, PARTITIONS, 1, config=config)
    for attempt in range(1, CREATE_ATTEMPTS + 1):
        try:
            admin.create_topics([wanted])[topic].result(ANSWER_S)
        except KafkaException as error:
            is_there = error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            if not is_there or attempt == CREATE_ATTEMPTS:
                raise
            time.sleep(0.1)
        else:
            return


def remove(brokers: str, topic: str) -> None:
    """Remove a topic, so that its files do not fill the disk."""
    admin = _admin(brokers)
    admin.delete_topics([topic])[topic].result(ANSWER_S)


def remove_all(brokers: str, name_part: str) -> None:
    """Remove every topic with `name_part` in its name: what a contender has made for itself."""
    admin = _admin(brokers)
    doomed = [topic for topic in admin.list_topics(timeout=ANSWER_S).topics if name_part in topic]
    for removed in admin.delete_topics(doomed).values() if doomed else ():
        removed.result(ANSWER_S)


def records_of(brokers: str, topic: str) -> Iterator[Message]:
    """Every record up to the end, as a read-committed consumer sees it, in offset order per partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"benchmark-reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 5,
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    ended = 0
    try:
        while ended < PARTITIONS:
            for message in consumer.consume(10_000, 1.0):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 # the client's public error code
                    ended += 1
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def ends_of(brokers: str, topic: str) -> int:
    """About how many records a topic has: the sum of the ends of its partitions."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "none", "log_level": 3})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S)[1]
            for partition in range(PARTITIONS)
        )
    finally:
        consumer.close()


def positions_of(brokers: str, group: str, topic: str) -> dict[int, int]:
    """The committed positions of a group per partition of the topic.

    Asked for by a consumer that never joins: unlike the administration client, it waits for positions that a transaction
    is about to commit.
    """
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": group, "isolation.level": "read_committed"}
    )
    try:
        asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = consumer.committed(asked, timeout=ANSWER_S)
    finally:
        consumer.close()
    return {one.partition: one.offset for one in found if one.offset >= 0}
