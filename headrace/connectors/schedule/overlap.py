"""Whether a flow is through with the ticks that it was given."""

from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace

LOOK_S = 0.5
READS_MAX = 20
"""What cannot be read to its end after so many reads counts as underway, until the next look."""


class Underway:
    """Looks at what a flow has not committed yet. Belongs to the feed's thread.

    A run is through when the group has committed past its tick, and past all that it has led to in the topics between the
    flow's own stages. What waits in state, such as in `delay`, does not count.
    """

    def __init__(self, place: FeedPlace, topic: str, stage: str) -> None:
        self._admin = place.admin()
        self._reader = place.reader()
        self._topic = topic
        flow = place.name.removesuffix(f".{stage}")
        self._group = place.group or flow
        self._own = f"{flow}."

    def close(self) -> None:
        """Let go of the clients. May be called again."""
        self._reader.close()
        self._admin.close()

    def is_any(self) -> bool:
        """Whether a record waits for the flow, or is being processed."""
        ticks = TopicPartition(self._topic, 0)
        positions = self._admin.group_positions(self._group)
        read = {one: at for one, at in positions.items() if one == ticks or self._is_own(one)}
        begin = self._admin.offsets([ticks], "earliest")[ticks]
        read[ticks] = max(begin, read.get(ticks, begin))
        ends = self._admin.offsets(read, "latest")
        unread = {one: at for one, at in read.items() if at < ends[one]}
        return bool(unread) and self._has_records(unread, ends)

    def _is_own(self, partition: TopicPartition) -> bool:
        return partition.topic.startswith(self._own) and partition.topic.endswith(
            (".link", ".repartition")
        )

    def _has_records(
        self, unread: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> bool:
        """Whether there is more than the marks of transactions and watermarks, which are nobody's run."""
        self._reader.assign(unread)
        for _ in range(READS_MAX):
            positions = self._reader.positions()
            if all(positions[one] >= ends[one] for one in unread):
                return False
            messages = self._reader.read(1_000, LOOK_S)
            if any(not _is_watermark(message) for message in messages):
                return True
        return True


def _is_watermark(message: Message) -> bool:
    return message.topic().endswith(".repartition") and message.value() is None
