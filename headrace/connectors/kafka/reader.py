"""A reader of partitions over confluent-kafka: a consumer that is assigned what it reads, and never joins a group."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from headrace.connectors.kafka.assignment import Assignment
from headrace.connectors.kafka.batches import collect, has_events, tell_apart
from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import explain_refusal
from headrace.connectors.kafka.consumer_settings import reader_configuration
from headrace.connectors.kafka.errors import (
    REFUSED_FOR_GOOD,
    kafka_error,
    lost_records,
    missing_topic,
)
from headrace.connectors.kafka.positions import ReadPositions, partition_of
from headrace.runtime.contracts.broker import Message as BrokerMessage
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import ClosedError, HeadraceError, RestartError

_TOPICS_TIMEOUT_S = 1.0


class KafkaReader:
    """See `contracts.broker.Reader`.

    The client asks who coordinates the group that it must be given a name of, although it joins none: a refusal of that
    is of no concern here.
    """

    def __init__(self, brokers: str, client: Mapping[str, str], client_id: str) -> None:
        self._name = f"'{client_id}'"
        self._log = KafkaLog(client_id, brokers)
        configuration = reader_configuration(brokers, client, client_id)
        try:
            self._client = Consumer(
                configuration | {"logger": self._log, "error_cb": self._log.on_error}
            )
        except KafkaException as error:
            raise explain_refusal(kafka_error(error).str(), client) from error
        self._poll: Callable[[int, float], list[Message]] = self._client.consume
        self._assignment = Assignment(self._client)
        self._positions = ReadPositions()
        self._held: list[Message] = []  # collected by a call that raised
        self._errors: list[tuple[KafkaError, Message]] = []  # in the stream, not raised yet
        self._stopped: set[TopicPartition] = set()  # whose position was out of range
        self._is_doubtful = False  # whether every partition exists
        self._is_closed = False

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        now = self.positions()
        gone = [
            one
            for one, offset in now.items()
            if one in self._stopped or positions.get(one) != offset
        ]
        come = {one: at for one, at in positions.items() if one in gone or one not in now}
        try:
            if gone:
                self._assignment.remove(gone)
            if come:
                self._assignment.add(come)
        except KafkaException as exception:
            reason = kafka_error(exception).str()
            raise RestartError(
                f"{self._name} could not change what it reads: {reason}"
            ) from exception
        self._stopped.difference_update(gone)
        self._held = [one for one in self._held if partition_of(one) not in gone]
        self._errors = [one for one in self._errors if partition_of(one[1]) not in gone]
        self._positions.forget(gone)
        self._positions.next.update(come)
        self._positions.assign(positions)
        self._is_doubtful = bool(come) or self._is_doubtful

    def read(self, count: int, timeout_s: float) -> list[BrokerMessage]:
        self._check_open()
        if self._held or self._errors or self._is_doubtful or self._log.fatal is not None:
            self._check()
            messages, self._held = self._held[:count], self._held[count:]
        else:
            messages = []
        if not messages:
            messages = self._collected(count, timeout_s)
        self._positions.returned(messages)
        return cast("list[BrokerMessage]", messages)

    def _collected(self, count: int, timeout_s: float) -> list[Message]:
        try:
            messages = collect(self._poll, count, timeout_s)
        except KafkaException as exception:
            self._raise_for(kafka_error(exception), None)
            return []
        if has_events(messages):
            batch = tell_apart(messages)
            messages = batch.records
            self._positions.reached(batch.ends)
            self._errors += batch.errors
            if self._errors:
                self._held = messages  # in case that one of the errors is raised
                self._check()
                self._held = []
        if messages and self._log.is_down:
            self._log.answered()
        return messages

    # What goes wrong

    def _check(self) -> None:
        """Raise what has happened, if anything has."""
        errors, self._errors = self._errors, []
        while errors:
            first = errors.pop(0)
            try:
                self._raise_for(*first)
            except HeadraceError:
                self._errors += errors
                raise
        if self._log.fatal is not None:
            self._raise_for(self._log.fatal, None)
        self._check_partitions()

    def _raise_for(self, error: KafkaError, message: Message | None) -> None:
        """Raise what an error in the stream asks for; return when it passes by itself."""
        code = error.code()
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and message:
            partition = partition_of(message)
            self._stopped.add(partition)
            raise lost_records(
                self._client,
                self._name,
                partition,
                self._positions.next.get(partition),
                "they were read: look at the topic's retention",
            )
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise missing_topic(self._name, message.topic() if message else None)
        if code == KafkaError._UNKNOWN_PARTITION and message:
            raise self._missing(partition_of(message))
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return
        if error.fatal() or code in REFUSED_FOR_GOOD:
            raise RestartError(f"{self._name} cannot go on reading: {error.str()}")
        if self._log.is_outage(error):
            self._log.outage(error)
        else:
            self._log.on_error(error)

    def _check_partitions(self) -> None:
        """Look for partitions that do not exist, of which the client says nothing for half a minute."""
        if not self._is_doubtful or self._log.is_down:
            return
        try:
            existing = self._client.list_topics(timeout=_TOPICS_TIMEOUT_S).topics
        except KafkaException as exception:
            self._log.on_error(kafka_error(exception))
            return
        for partition in self._assignment.begins:
            if partition.topic not in existing:
                raise missing_topic(self._name, partition.topic)
            if partition.partition not in existing[partition.topic].partitions:
                raise self._missing(partition)
        self._is_doubtful = False

    def _missing(self, partition: TopicPartition) -> RestartError:
        return RestartError(f"{self._name} reads {partition}, and there is no such partition")

    # Positions

    def positions(self) -> dict[TopicPartition, int]:
        held = {partition_of(one) for one in self._held}
        ends = self._positions.ends
        return {
            one: offset if one in held else max(offset, ends.get(one, 0))
            for one, offset in self._positions.next.items()
        }

    # The end

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._positions.forget(list(self._positions.next))
        self._held, self._errors = [], []
        with suppress(KafkaException):
            self._client.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the reader {self._name} is closed")
