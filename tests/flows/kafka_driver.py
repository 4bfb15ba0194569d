"""Runs test cases on Apache Kafka: the driver of the memory engine with topics of its own per case."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import re2
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Admin, Headers, Message, TopicPartition
from headrace.runtime.errors import FlowStoppedError
from headrace.runtime.flow import Flow
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.task.records import OWN
from headrace.runtime.testcases.answers import answering, answers_of
from headrace.runtime.testcases.driver import Driver, GivenValues
from headrace.runtime.testcases.loading import Suite
from headrace.runtime.testcases.model import TestCase
from headrace.runtime.testcases.reader import TopicReader
from headrace.runtime.testcases.records import TestRecord

WAIT_S = 20.0
STEP_S = 0.05
STEPS_MAX = 1_000


class RenamedMessage:
    """A record in which the case's token is left out everywhere, so that it looks as it does in memory."""

    def __init__(self, message: Message, token: str) -> None:
        self._message = message
        self._token = token

    def _plain(self, value: bytes | None) -> bytes | None:
        return None if value is None else value.replace(self._token.encode(), b"")

    def topic(self) -> str:
        return self._message.topic().removeprefix(self._token)

    def partition(self) -> int:
        return self._message.partition()

    def offset(self) -> int:
        return self._message.offset()

    def key(self) -> bytes | None:
        return self._plain(self._message.key())

    def value(self) -> bytes | None:
        return self._plain(self._message.value())

    def headers(self) -> Headers | None:
        return [(name, self._plain(value)) for name, value in self._message.headers() or ()] or None

    def timestamp(self) -> tuple[int, int]:
        return self._message.timestamp()


class EndReader:
    """Reads partitions up to their last committed record, which the client itself reports."""

    def __init__(self, brokers: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": f"reader-{uuid.uuid4().hex[:12]}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
            }
        )

    def read(self, positions: Mapping[TopicPartition, int]) -> list[Message]:
        if not positions:
            return []
        self._consumer.assign(
            [ClientPartition(name, number, at) for (name, number), at in positions.items()]
        )
        unfinished: set[TopicPartition] = set(positions)
        found: list[Message] = []
        while unfinished:
            message: Any = self._consumer.poll(WAIT_S)
            assert message is not None, f"no end of {unfinished} within {WAIT_S} s"
            error = message.error()
            if error is None:
                found.append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                unfinished.discard(TopicPartition(message.topic(), message.partition()))
        self._consumer.unassign()
        return sorted(found, key=lambda one: (one.topic(), one.partition(), one.offset()))

    def close(self) -> None:
        self._consumer.close()


class KafkaReader:
    """The committed records of one case's topics, under their plain names."""

    def __init__(self, end: EndReader, admin: Admin, token: str, unread: Collection[str]) -> None:
        self._end = end
        self._admin = admin
        self._token = token
        self._unread = unread
        self._known: dict[str, list[Message]] | None = None

    def forget(self) -> None:
        """Read anew the next time: there may be more."""
        self._known = None

    def _counts(self) -> dict[str, int]:
        return {
            name: count
            for name, count in self._admin.topics().items()
            if name.startswith(self._token) and name not in self._unread
        }

    def topics(self) -> tuple[str, ...]:
        return tuple(name.removeprefix(self._token) for name in self._counts())

    def read(self, topic: str) -> Sequence[Message]:
        if self._known is None:  # of all topics together: looking up each by itself takes long
            counts = self._counts()
            self._known = {name: [] for name in counts}
            everywhere = [TopicPartition(t, i) for t, count in counts.items() for i in range(count)]
            for message in self._end.read(dict.fromkeys(everywhere, OFFSET_BEGINNING)):
                self._known[message.topic()].append(RenamedMessage(message, self._token))
        return self._known.get(self._token + topic, ())

    def close(self) -> None:
        self._end.close()


class KafkaDriver(Driver):
    """Works until every record of every topic that the flows read is processed and committed."""

    def __init__(self, suite: Suite, case: TestCase, brokers: str) -> None:
        self.token = f"t{uuid.uuid4().hex[:8]}-"
        self._end = EndReader(brokers)
        document = suite.document
        super().__init__(
            [renamed(flow, self.token) for flow in suite.flows],
            broker=KafkaBroker(brokers),
            clock=SystemClock(),
            values=GivenValues(document.env, document.secrets),
            topics={self.token + name: count for name, count in document.topics.items()},
            settings=WorkerSettings(
                brokers=brokers,
                prefix=f"{self.token}headrace",
                create_topics=True,
                partitions=1,
                commit_interval=timedelta(milliseconds=20),
            ),
            callers=answering(answers_of(document, case)),
        )

    def _open_reader(self, links: Collection[str]) -> TopicReader:
        self._kafka_reader = KafkaReader(self._end, self._admin, self.token, links)
        return self._kafka_reader

    @property
    def dead_letter_topics(self) -> Mapping[str, str]:
        named = super().dead_letter_topics
        return {flow: topic.removeprefix(self.token) for flow, topic in named.items()}

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | str | None = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        name = self.token + topic.removeprefix(self.token)
        before = self._ends(name)
        super().send(
            name, value, key=key, timestamp=timestamp, headers=headers, partition=partition
        )
        # The client tells only of records that were not delivered, so the partitions' ends have to.
        for where, end in self._ends(name).items():
            self._own |= {
                (name.removeprefix(self.token), where.partition, offset)
                for offset in range(before.get(where, 0), end)
            }

    def _ends(self, topic: str) -> dict[TopicPartition, int]:
        count = self._admin.topics().get(topic, 0)
        return self._admin.offsets([TopicPartition(topic, i) for i in range(count)], "latest")

    def run(self, *, commit: bool = True) -> None:
        self._kafka_reader.forget()
        try:
            self._run(commit=commit)
        except FlowStoppedError as error:
            raise FlowStoppedError(str(error).replace(self.token, "")) from error

    def _run(self, *, commit: bool) -> None:
        for _ in range(STEPS_MAX):
            was_busy = self._round(STEP_S)
            if (not commit and was_busy) or (not was_busy and not self._pending()):
                return
        raise AssertionError("the flows did not come to rest")

    def _pending(self) -> list[Message]:
        """Records that the flows have not read and committed yet."""
        counts = self._admin.topics()
        left: list[Message] = []
        for group, plans in self._groups.items():
            committed = self._admin.group_positions(group)
            sources = [s for plan in plans for sub in plan.sub_topologies for s in sub.sources]
            everywhere = [
                TopicPartition(topic, i)
                for topic, count in counts.items()
                for i in range(count)
                if any(topic in s.topics or _matches(s.pattern, topic) for s in sources)
            ]
            left += self._end.read({p: committed.get(p, OFFSET_BEGINNING) for p in everywhere})
        return left

    def written(self, topic: str) -> list[TestRecord]:
        return [
            record
            for record in self.received(topic)
            if (topic, record.partition, record.offset) not in self._own
        ]

    def close(self) -> None:
        for member in self._members:
            member.abandon()
        self._members.clear()
        self._admin.delete([name for name in self._admin.topics() if name.startswith(self.token)])
        super().close()


def renamed(flow: Flow, token: str) -> Flow:
    """The flow with `token` in front of the name of every topic that it reads or writes."""
    document = flow.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for stage in document["stages"]:
        config = stage.get("config", {})
        if stage["action"] == "kafka":
            topics = config.get("topics")
            if topics is not None:
                names = [topics] if isinstance(topics, str) else topics
                config["topics"] = [token + name for name in names]
            if "pattern" in config:
                config["pattern"] = token + config["pattern"]
        elif stage["action"] == "publish":
            config["topic"] = token + config["topic"]
        elif stage["action"] == "hydrate":
            config["table"] = token + config["table"]
        if isinstance(config.get("right"), dict):
            config["right"]["table"] = token + config["right"]["table"]
        if isinstance(config.get("late"), dict):
            config["late"]["topic"] = token + config["late"]["topic"]
    return Flow.model_validate(document)


def _matches(pattern: str | None, topic: str) -> bool:
    return pattern is not None and re2.fullmatch(pattern, topic) is not None


Snapshot = dict[str, dict[int, list[tuple[object, ...]]]]


def snapshot(driver: Driver, *, is_ordered: bool) -> Snapshot:
    """What flows wrote, per topic and partition; unordered, or in any partition, where Kafka promises no more."""
    found: Snapshot = {}
    for topic in driver.topics():
        records = driver.written(topic)
        has_keys = all(record.key is not None for record in records)
        by_partition: dict[int, list[tuple[object, ...]]] = {}
        for record in records:
            headers = tuple(
                (n, v) for n, v in sorted(record.headers.items()) if not n.startswith(OWN)
            )
            seen = (record.key, record.raw, headers)
            by_partition.setdefault(record.partition if has_keys else 0, []).append(seen)
        for partition, seen_there in by_partition.items():
            is_exact = is_ordered and has_keys
            by_partition[partition] = seen_there if is_exact else sorted(seen_there, key=repr)
        if by_partition:
            found[topic] = by_partition
    return found
