"""Which partitions a client fetches, and which of them are paused."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from collections.abc import Iterable, Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka.errors import kafka_error
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import TopicPartition

_SEEK_ATTEMPTS = 50
_SEEK_PAUSE_S = 0.02


class Assignment:
    """Changes a client's assignment in the way that its group protocol asks for.

    An eager protocol (classic, `range`) gives and takes everything at once, and refuses to be told of single partitions;
    every other one, and a client in no group, is told only of those that come and go.

    Attributes:
        begins: the offset at which each assigned partition began.
    """

    def __init__(self, client: Consumer, *, is_eager: bool = False) -> None:
        self._client = client
        self._is_eager = is_eager
        self._clock = SystemClock()
        self.begins: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def add(self, begins: Mapping[TopicPartition, int]) -> set[TopicPartition]:
        """Assign partitions, and return those that begin paused: `pause` was called for them before.

        The client knows no partition that is not assigned yet, so it is told of the pause now. By then it may have
        fetched records, which it drops from its queue; but not those that a call under way has taken out already.
        """
        self.begins.update(begins)
        if self._is_eager:
            self._client.assign(_at(self.begins))
        else:
            self._client.incremental_assign(_at(begins))
        self._paused.intersection_update(self.begins)
        paused = self._paused.intersection(begins)
        if paused:
            self._client.pause(_names(paused))
        return paused

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch these no more; with an eager protocol they are all that there are.

        The client would remember that they are paused, and give nothing when they come back.
        """
        gone = set(partitions)
        if paused := self._paused.intersection(gone, self.begins):
            self._client.resume(_names(paused))
        if self._is_eager:
            assert gone.issuperset(self.begins), "an eager protocol takes everything"
            self._client.unassign()
        else:
            self._client.incremental_unassign(_names(gone))
        for partition in gone:
            self.begins.pop(partition, None)
        self._paused -= gone

    def ends(self) -> dict[TopicPartition, int]:
        """Where each partition ended when it was last fetched, including what is not committed."""
        found: dict[TopicPartition, int] = {}
        for one in self.begins:
            with suppress(KafkaException):  # its topic is about to go
                known = self._client.get_watermark_offsets(ClientPartition(*one), cached=True)
                if known and known[1] >= 0:
                    found[one] = known[1]
        return found

    def forget(self) -> None:
        """Note that the client is closed."""
        self.begins.clear()
        self._paused.clear()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Pause partitions, also such that are about to be added."""
        wanted = set(partitions)
        self._paused |= wanted
        if assigned := wanted.intersection(self.begins):
            self._client.pause(_names(assigned))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        wanted = set(partitions)
        self._paused -= wanted
        if assigned := wanted.intersection(self.begins):
            self._client.resume(_names(assigned))

    def seek(
        self, partition: TopicPartition, offset: int, positions: Mapping[TopicPartition, int]
    ) -> None:
        """Seek, waiting for a partition that was assigned a moment ago to be started.

        One that stopped because its position was out of range cannot be sought: it is assigned anew. An eager protocol
        needs that of all the others too, at their `positions`: the offsets after what was collected.

        Raises:
            KafkaException: the client refuses for another reason.
        """
        for attempt in range(_SEEK_ATTEMPTS):
            try:
                self._client.seek(ClientPartition(*partition, offset))
            except KafkaException as exception:
                if kafka_error(exception).code() != KafkaError._STATE:
                    raise
                if attempt + 1 < _SEEK_ATTEMPTS:
                    self._clock.sleep(_SEEK_PAUSE_S)
            else:
                return
        if self._is_eager:
            self._client.assign(_at({**self.begins, **positions, partition: offset}))
            paused = self._paused
        else:
            self._client.incremental_unassign(_names([partition]))
            self._client.incremental_assign(_at({partition: offset}))
            paused = self._paused.intersection([partition])
        if paused:
            self._client.pause(_names(paused))


def _at(offsets: Mapping[TopicPartition, int]) -> list[ClientPartition]:
    return [ClientPartition(*one, offset) for one, offset in offsets.items()]


def _names(partitions: Iterable[TopicPartition]) -> list[ClientPartition]:
    return [ClientPartition(*one) for one in partitions]
