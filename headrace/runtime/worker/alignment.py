"""Brings the inputs of a task into the order of their timestamps, as far as that is known.

A task that reads several topics (a join, a table) takes the record with the smallest timestamp next. It waits for an input that
has more to read, and does not wait for one that was read to its end. So a table is filled before the records that are as old as
its rows are looked up, and a backlog gives the results that the live streams gave.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from headrace.runtime.contracts.broker import Message, TopicPartition

HELD_MAX = 20_000
"""Records that an input holds back before reading it is paused."""


class Alignment:
    """The inputs of tasks that share any of them, in the order in which records of the same time are taken.

    Args:
        marked: inputs with markers, which have no time of their own.
    """

    def __init__(self, partitions: Sequence[TopicPartition], marked: Collection[str]) -> None:
        self.partitions = tuple(partitions)
        self._marked = frozenset(marked)
        self._held: dict[TopicPartition, deque[Message]] = {one: deque() for one in partitions}

    def add(self, partition: TopicPartition, messages: Sequence[Message]) -> None:
        """Hold back records until their time has come."""
        self._held[partition].extend(messages)

    def held(self, partition: TopicPartition) -> int:
        """How many records of an input are held back."""
        return len(self._held[partition])

    def position(self, partition: TopicPartition) -> int | None:
        """The offset of the first record that is held back."""
        held = self._held[partition]
        return held[0].offset() if held else None

    def taken(self, partition: TopicPartition) -> list[Message]:
        """Take out what is held back of an input."""
        held = list(self._held[partition])
        self._held[partition].clear()
        return held

    def clear(self) -> None:
        """Forget what is held back: it is read again."""
        for held in self._held.values():
            held.clear()

    def can_release(self, caught_up: Collection[TopicPartition]) -> bool:
        """Whether a record is held back, and no input has more to read that might come before it."""
        return any(self._held.values()) and all(
            self._held[one] or one in caught_up for one in self.partitions
        )

    def release(
        self, caught_up: Collection[TopicPartition]
    ) -> Iterator[tuple[TopicPartition, list[Message]]]:
        """Records whose time has come, in order."""
        while True:
            if not self.can_release(caught_up):
                return
            waiting = [one for one in self.partitions if self._held[one]]
            if len(waiting) == 1:
                held = self._held[waiting[0]]
                batch = list(held)
                held.clear()
                yield waiting[0], batch
                return
            heads = sorted((self._time(one), i, one) for i, one in enumerate(waiting))
            until, after, _ = heads[1]
            _, order, first = heads[0]
            yield first, self._take(first, until, is_first=order < after)

    def _time(self, partition: TopicPartition) -> int:
        return self._time_of(partition, self._held[partition][0])

    def _time_of(self, partition: TopicPartition, message: Message) -> int:
        is_marker = partition.topic in self._marked and message.value() is None
        return -1 if is_marker else message.timestamp()[1]

    def _take(self, partition: TopicPartition, until: int, *, is_first: bool) -> list[Message]:
        """The records of one input up to the time of the next one's first; at least one."""
        held = self._held[partition]
        batch = [held.popleft()]
        while held:
            time = self._time_of(partition, held[0])
            if time > until or (time == until and not is_first):
                break
            batch.append(held.popleft())
        return batch
