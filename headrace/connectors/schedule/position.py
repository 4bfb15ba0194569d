"""How far a schedule has come: one record in a compacted topic, written in the same transaction as the tick."""

from dataclasses import dataclass

import orjson

from headrace.runtime.contracts.broker import NewTopic, Producer, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import BrokerUnavailableError

KEY = b"position"
READ_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Position:
    """The last due time that was dealt with, of the schedule that `schedule` tells from others."""

    due_ms: int
    schedule: str


class Positions:
    """The record of one schedule. Belongs to the feed's thread."""

    def __init__(self, place: FeedPlace) -> None:
        self._place = place
        self.topic = f"{place.name}.positions"

    def read(self) -> Position | None:
        """The last committed position; None before the first one. Makes the topic where it is missing.

        To be called after `init_transactions` of the feed's producer: nobody else can add one then.

        Raises:
            BrokerUnavailableError: the end of the topic was not reached in time.
        """
        partition = TopicPartition(self.topic, 0)
        admin, reader = self._place.admin(), self._place.reader()
        try:
            kept = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
            admin.create([NewTopic(name=self.topic, partitions=1, config=kept)])
            end = admin.ends([partition])[partition]
            reader.assign(admin.offsets([partition], "earliest"))
            value: bytes | None = None
            deadline_s = self._place.clock.monotonic_s() + READ_TIMEOUT_S
            while reader.positions()[partition] < end:
                for message in reader.read(1_000, 0.2):
                    value = message.value() if message.key() == KEY else value
                if self._place.clock.monotonic_s() > deadline_s:
                    raise BrokerUnavailableError(
                        f"{partition} could not be read to its end at offset {end} within {READ_TIMEOUT_S:g} s;"
                        " is the cluster healthy?"
                    )
        finally:
            reader.close()
            admin.close()
        if value is None:
            return None
        stored = orjson.loads(value)
        return Position(stored["due_ms"], stored["schedule"])

    def write(self, producer: Producer, position: Position) -> None:
        """Put a position into the open transaction."""
        producer.produce(self.topic, orjson.dumps(vars(position)), KEY, 0)
