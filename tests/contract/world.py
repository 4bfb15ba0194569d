"""One way to drive either broker: topics, producers and members that take turns on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal
from uuid import uuid4

from headrace.runtime.clock import Clock, ManualClock, SystemClock
from headrace.runtime.contracts.broker import (
    Admin,
    Broker,
    Consumer,
    ConsumerSettings,
    Message,
    NewTopic,
    Producer,
    ProducerSettings,
    Reader,
    TopicPartition,
)

WAIT_S = 30.0
SESSION_MS = 6_000

Protocol = Literal["auto", "classic", "consumer"]
Event = tuple[str, tuple[TopicPartition, ...]]


class Member:
    """A consumer with its listener; notes everything that it is told.

    `on_revoked` runs inside the listener's `revoked`, as the engine's last commit does.
    """

    def __init__(self, consumer: Consumer, topics: Sequence[str]) -> None:
        self.consumer = consumer
        self.events: list[Event] = []
        self.seen: list[Message] = []
        self.on_revoked: Callable[[], None] = lambda: None
        self.on_assigned: Callable[[], None] = lambda: None
        self.batch = 100
        consumer.subscribe(topics, self)

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.events.append(("assigned", tuple(partitions)))
        self.on_assigned()
        committed = self.consumer.committed(partitions)
        return {partition: committed.get(partition, 0) for partition in partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoked", tuple(partitions)))
        self.on_revoked()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", tuple(partitions)))

    def caught_up(self) -> frozenset[TopicPartition]:
        return self.consumer.caught_up()

    def step(self) -> list[Message]:
        messages = self.consumer.consume(self.batch, 0.05)
        self.seen += messages
        return messages

    def commit(self) -> None:
        self.consumer.commit(self.consumer.positions())

    @property
    def values(self) -> list[bytes | None]:
        return [message.value() for message in self.seen]

    @property
    def owned(self) -> frozenset[TopicPartition]:
        return self.consumer.assignment()

    def told(self, kind: str) -> list[TopicPartition]:
        return [one for event, partitions in self.events if event == kind for one in partitions]


@dataclass
class World:
    """A broker and what a test made in it; everything is closed at the test's end."""

    broker: Broker
    clock: Clock
    protocol: Protocol = "auto"
    admin: Admin = field(init=False)
    _open: list[Consumer | Producer | Reader] = field(default_factory=list)
    _topics: list[str] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.admin = self.broker.admin()
        self._prefix = f"contract-{uuid4().hex[:10]}"

    def name(self, what: str) -> str:
        """A name that nobody else uses."""
        return f"{self._prefix}-{what}-{next(self._numbers)}"

    def topic(self, partitions: int = 1, name: str = "", **config: str) -> str:
        """A new topic; `config` takes names with underscores for dots."""
        name = name or self.name("topic")
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create([NewTopic(name=name, partitions=partitions, config=settings)])
        self._topics.append(name)
        return name

    def producer(self, transactional_id: str | None = None, **settings: Any) -> Producer:
        """A producer that is ready: with a transactional id, `init_transactions` was called."""
        producer = self.broker.producer(
            ProducerSettings(
                client_id=self.name("producer"), transactional_id=transactional_id, **settings
            )
        )
        self._open.append(producer)
        if transactional_id is not None:
            producer.init_transactions(WAIT_S)
        return producer

    def member(self, group: str, *topics: str, **settings: Any) -> Member:
        """A member that has subscribed; it joins with its first step."""
        settings = {
            "session_timeout_ms": SESSION_MS,
            "max_poll_interval_ms": SESSION_MS,
            "protocol": self.protocol,
        } | settings
        consumer = self.broker.consumer(
            ConsumerSettings(group=group, client_id=self.name("member"), **settings)
        )
        self._open.append(consumer)
        return Member(consumer, topics)

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        """A reader that reads these partitions."""
        reader = self.broker.reader(self.name("reader"), {})
        self._open.append(reader)
        reader.assign(positions)
        return reader

    def read_until(
        self, is_so: Callable[[], bool], reader: Reader, count: int = 100
    ) -> list[Message]:
        """What a reader returns until something is so; a manual clock moves along."""
        found: list[Message] = []
        patience = SystemClock()
        deadline_s = patience.monotonic_s() + WAIT_S
        while not is_so():
            found += reader.read(count, 0.05)
            if isinstance(self.clock, ManualClock):
                self.clock.advance(0.05)
            assert patience.monotonic_s() < deadline_s, "it did not become so"
        return found

    def until(self, is_so: Callable[[], bool], *members: Member) -> None:
        """Let the members take turns until something is so; a manual clock moves along."""
        patience = SystemClock()
        deadline_s = patience.monotonic_s() + WAIT_S
        while not is_so():
            for member in members:
                member.step()
            if isinstance(self.clock, ManualClock):
                self.clock.advance(0.05)
            assert patience.monotonic_s() < deadline_s, "it did not become so"

    def write(self, topic: str, values: Iterable[bytes], partition: int = 0, **record: Any) -> None:
        """Write records outside of any transaction and wait for them."""
        producer = self.producer()
        for value in values:
            produce_patiently(producer, topic, value=value, partition=partition, **record)
        producer.flush(WAIT_S)
        producer.close()

    def write_committed(self, topic: str, values: Iterable[bytes], partition: int = 0) -> None:
        """Write records in a transaction of their own."""
        producer = self.producer(self.name("transaction"))
        producer.begin_transaction()
        for value in values:
            produce_patiently(producer, topic, value=value, partition=partition)
        producer.commit_transaction(WAIT_S)
        producer.close()

    def read(self, topic: str, how_many: int) -> list[Message]:
        """The first records of a topic, as a group of their own sees them."""
        member = self.member(self.name("reader"), topic)
        self.until(lambda: len(member.seen) >= how_many, member)
        member.consumer.close()
        return member.seen

    def close(self) -> None:
        """Close everything, whatever fails: a consumer that is never closed haunts later tests."""
        with ExitStack() as stack:
            stack.callback(self.admin.close)
            stack.callback(self._delete_topics)
            for one in reversed(self._open):  # the stack turns it round
                stack.callback(one.close)

    def _delete_topics(self) -> None:
        existing = self.admin.topics()
        self.admin.delete([name for name in self._topics if name in existing])


def produce_patiently(producer: Producer, topic: str, **record: Any) -> None:
    """Produce, making room when the local queue is full."""
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def numbered(how_many: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + how_many)]


def whole(topic: str, partitions: int) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic, number) for number in range(partitions))
