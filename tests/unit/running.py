"""Runs flows on a broker in memory with a manual clock, one member per group, on the test's own thread."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, NamedTuple

import orjson

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import (
    ConsumerSettings,
    NewTopic,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.environment import Values
from headrace.runtime.flow import Flow, parse_flows
from headrace.runtime.graph import check_flows
from headrace.runtime.plan import Plan, build_plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.task.commit import Step
from headrace.runtime.worker.groups import groups_of
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.topics import TopicsInUse, ensure_topics

NOW_MS = 1_700_000_000_000


class Written(NamedTuple):
    """A record as a read-committed consumer sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]
    timestamp: int

    @property
    def data(self) -> Any:
        return None if self.value is None else orjson.loads(self.value)


class _Everything:
    """Assigns every partition from its beginning."""

    def assigned(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """There is nothing to commit."""

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """There is nothing to commit."""


def flows_of(*texts: str) -> list[Flow]:
    """The flows of YAML texts, which may be indented."""
    return [flow for text in texts for flow in parse_flows(dedent(text))]


def plans_of(*flows: Flow | str) -> list[Plan]:
    """The plans of flows or of their YAML."""
    read = [flow for one in flows for flow in ([one] if isinstance(one, Flow) else flows_of(one))]
    return [build_plan(graph) for graph in check_flows(read)]


@dataclass
class Running:
    """A group of flows on a broker; `step` does what a worker's thread does in its loop."""

    plans: list[Plan]
    settings: WorkerSettings = field(
        default_factory=lambda: WorkerSettings(engine="memory", create_topics=True)
    )
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))
    values: Values = field(default_factory=lambda: Values({}, {}))
    broker: MemoryBroker = None  # type: ignore[assignment] # made below, from the clock
    reached: Callable[[Step], None] = lambda step: None
    topics: TopicsInUse = field(init=False)

    def __post_init__(self) -> None:
        self.broker = self.broker or MemoryBroker(clock=self.clock)
        self.topics = ensure_topics(self.broker.admin(), self.plans, self.settings)
        self._member: Member | None = None
        self._feeder = self.broker.producer(
            ProducerSettings(client_id="feeder", message_bytes_max=10_000_000)
        )

    @property
    def member(self) -> Member:
        """The only member; it joins when it is first asked for."""
        if self._member is None:
            self._member = self.joined()
        return self._member

    def joined(self, name: str = "member") -> Member:
        """A further member."""
        (group,) = groups_of(self.plans).values()
        return Member(
            group,
            settings=self.settings,
            broker=self.broker,
            clock=self.clock,
            values=self.values,
            name=name,
            topics=self.topics,
            reached=self.reached,
        )

    def feed(
        self,
        value: Any,
        topic: str = "in",
        *,
        key: str | bytes | None = None,
        headers: Any = None,
        timestamp: int = NOW_MS,
        partition: int = -1,
    ) -> None:
        """Write a record; bytes and None as they are, everything else as JSON."""
        encoded = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
        self._feeder.produce(
            topic, encoded, key=key, headers=headers, timestamp=timestamp, partition=partition
        )

    def run(self, *values: Any, topic: str = "in", **given: Any) -> None:
        """Feed records and let the flows work until nothing is left."""
        for value in values:
            self.feed(value, topic, **given)
        self.drain()

    def drain(self, *members: Member) -> None:
        """Step until a whole round reads nothing, then commit."""
        members = members or (self.member,)
        idle = 0
        while idle < 3:
            idle = 0 if sum(member.step(0) for member in members) else idle + 1
            self.clock.advance(0.2)

    def read(self, topic: str) -> list[Written]:
        """What was committed to a topic."""
        consumer = self.broker.consumer(
            ConsumerSettings(group=f"reader-{id(self)}-{topic}", client_id="reader")
        )
        consumer.subscribe([topic], _Everything())
        found = [
            Written(
                message.topic(),
                message.partition(),
                message.offset(),
                message.key(),
                message.value(),
                dict(message.headers() or ()),
                message.timestamp()[1],
            )
            for message in consumer.consume(1_000_000, 0)
        ]
        consumer.close()
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def data(self, topic: str) -> list[Any]:
        """The JSON values that were committed to a topic."""
        return [one.data for one in self.read(topic)]

    @property
    def dead_letters(self) -> list[Written]:
        """The dead letters of the only flow."""
        topic = self.plans[0].dead_letter_topic
        return self.read(topic) if topic else []


def running(
    *flows: Flow | str,
    partitions: int = 1,
    topics: Iterable[str] = (),
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    **settings: Any,
) -> Running:
    """Flows on a broker that has their topics and `topics`."""
    clock = ManualClock(NOW_MS)
    broker = MemoryBroker(clock=clock)
    broker.admin().create([NewTopic(name=name, partitions=partitions) for name in topics])
    given = {"engine": "memory", "create_topics": True, "partitions": partitions, **settings}
    return Running(
        plans_of(*flows),
        settings=WorkerSettings(**given),
        clock=clock,
        broker=broker,
        values=Values(env or {}, secrets or {}),
    )
