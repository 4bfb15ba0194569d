"""How far a member is behind the topics that it reads."""

from collections.abc import Mapping

from headrace.runtime.contracts.broker import Consumer, TopicPartition

LOOK_EVERY_S = 2.0


class Behind:
    """What was left to read when last looked; asks no broker, so that it is known as far as the client has fetched.

    Attributes:
        records: per assigned partition the offsets between its position and its end, 0 once the end was reached. What
            transactions leave behind counts until then. Replaced as a whole; other threads may read it.
    """

    def __init__(self) -> None:
        self.records: Mapping[TopicPartition, int] = {}
        self._due_s = 0.0

    def look(self, consumer: Consumer, begun: Mapping[TopicPartition, int], now_s: float) -> None:
        """Look again when two seconds have passed. `begun` tells of partitions of which nothing was read yet."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_EVERY_S
        positions = {**begun, **consumer.positions()}
        done = consumer.caught_up()
        self.records = {
            one: 0 if one in done else max(0, end - positions[one])
            for one, end in consumer.ends().items()
            if one in positions
        }
