"""Where each partition stands, told from the records that were returned.

The client's own `position` is not used: it lags behind a seek and an assignment until the next record arrives, and a position
committed meanwhile would skip what lies between (test_a_position_after_a_seek_is_where_it_was_sought).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from confluent_kafka import Message
from confluent_kafka import TopicPartition as ClientPartition

from headrace.runtime.contracts.broker import TopicPartition

_TOPIC_OF, _PARTITION_OF = Message.topic, Message.partition


class ReadPositions:
    """The offset behind the last returned record of each partition, or where a seek put it."""

    def __init__(self) -> None:
        self.next: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}  # that were reached last
        self._only_topic: str | None = None

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Note all partitions that are assigned now; records of a single topic are told apart faster."""
        topics = {partition.topic for partition in partitions}
        self._only_topic = topics.pop() if len(topics) == 1 else None

    def returned(self, messages: Sequence[Message]) -> None:
        """Note a batch that is about to be returned; 33 ns a record for one topic, 100 ns for several."""
        if self._only_topic is not None:
            # The last record of each partition wins; the loop that finds it runs in C.
            for partition, last in dict(
                zip(map(_PARTITION_OF, messages), messages, strict=True)
            ).items():
                self._note(TopicPartition(self._only_topic, partition or 0), last)
            return
        keys = zip(map(_TOPIC_OF, messages), map(_PARTITION_OF, messages), strict=True)
        for (topic, partition), last in dict(zip(keys, messages, strict=True)).items():
            self._note(TopicPartition(topic or "", partition or 0), last)

    def _note(self, partition: TopicPartition, last: Message) -> None:
        self.next[partition] = (last.offset() or 0) + 1

    def reached(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note the ends that the client has come to: behind the records before them, whether returned yet or not."""
        self.ends.update(ends)

    def caught_up(self) -> frozenset[TopicPartition]:
        """Partitions of which nothing from behind the end was returned since it was reached; so no record unmarks anything."""
        return frozenset(one for one, end in self.ends.items() if self.next.get(one, -1) <= end)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop what is known of these."""
        for partition in partitions:
            self.next.pop(partition, None)
            self.ends.pop(partition, None)


def partition_of(message: Message) -> TopicPartition:
    """The partition that a record, or an error in the stream, is about."""
    return TopicPartition(cast("str", message.topic()), cast("int", message.partition()))


def offsets_of(partitions: Iterable[ClientPartition]) -> dict[TopicPartition, int]:
    """Those of the positions that are offsets, not the client's marks for none."""
    return {
        TopicPartition(one.topic, one.partition): one.offset
        for one in partitions
        if one.offset >= 0
    }
