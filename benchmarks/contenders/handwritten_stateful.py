"""The loops that a good engineer writes by hand for state: a dict, and a changelog in the transaction. The bar.

State lives in a dict. What a transaction has changed becomes, at its end, one result and one changelog record per key. A
partition's changelog is read when the partition is assigned. The option is the work, one of `WORKS`.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from orjson import dumps, loads

from benchmarks.contenders.client_settings import COMMIT_INTERVAL_S, CONSUMER, PRODUCER
from benchmarks.contenders.measurement import Measurement, Work, asked

WINDOW_MS = 60_000
TABLE = "benchmark-users"
IDLE_S = 0.01
"""How long a loop with two consumers waits for one of them."""


@dataclass
class Tables:
    """What is counted, by (key, start of its window or None); and the rows that are joined, by their key."""

    totals: dict[tuple[str, int | None], list[Any]] = field(default_factory=dict)
    changed: dict[tuple[str, int | None], list[Any]] = field(default_factory=dict)
    rows: dict[bytes, Any] = field(default_factory=dict)


def windowed(messages: list[Message], tables: Tables) -> None:
    """Count and sum per user and minute."""
    totals, changed = tables.totals, tables.changed
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
        event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
        if event["kind"] == "view":
            continue
        time_ms = event["time"]
        key = (event["user"], time_ms - time_ms % WINDOW_MS)
        total = changed.get(key)
        if total is None:
            total = changed[key] = list(totals.get(key) or (0, 0.0))
        total[0] += 1
        total[1] += event["amount"]


def running(messages: list[Message], tables: Tables) -> None:
    """Count and sum per user."""
    totals, changed = tables.totals, tables.changed
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
        event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
        if event["kind"] == "view":
            continue
        key = (event["user"], None)
        total = changed.get(key)
        if total is None:
            total = changed[key] = list(totals.get(key) or (0, 0.0))
        total[0] += 1
        total[1] += event["amount"]


def repartitioned(messages: list[Message], tables: Tables) -> None:
    """Count and sum per user and minute what comes back from the repartition topic."""
    totals, changed = tables.totals, tables.changed
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
        user, time_ms, amount = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
        key = (user, time_ms - time_ms % WINDOW_MS)
        total = changed.get(key)
        if total is None:
            total = changed[key] = list(totals.get(key) or (0, 0.0))
        total[0] += 1
        total[1] += amount


class Loop:
    """One worker: its clients, its tables, and the transaction of every 100 ms."""

    def __init__(self, work: Work, kind: str) -> None:
        self.work, self.kind = work, kind
        self.tables = Tables()
        self.measurement = Measurement()
        self.changelog = f"{work.group}-changelog"
        self.repartition = f"{work.group}-repartition"
        self.consumers: list[Consumer] = []
        self.producer = Producer(
            {
                **PRODUCER,
                "bootstrap.servers": work.brokers,
                "transactional.id": work.group,
                "delivery.report.only.error": True,
            }
        )
        self.in_transaction = False
        self.committed_s = 0.0

    def start(self) -> None:
        """Make what is missing and join."""
        create(self.work.brokers, self.changelog, is_compacted=True)
        if self.kind == "rekey":
            create(self.work.brokers, self.repartition, is_compacted=False)
        self.producer.init_transactions()
        if self.kind == "rekey":
            self.subscribe(self.work.group, self.work.source)
            self.subscribe(f"{self.work.group}-behind", self.repartition, restore=self.restore)
        elif self.kind == "join":
            self.subscribe(self.work.group, self.work.source, restore=self.read_table)
        else:
            self.subscribe(self.work.group, self.work.source, restore=self.restore)

    def subscribe(
        self,
        group: str,
        topic: str,
        restore: Callable[[list[TopicPartition]], None] | None = None,
    ) -> None:
        """Join a group. `restore` is called with partitions before records of them come."""
        consumer = Consumer(
            {
                **CONSUMER,
                "bootstrap.servers": self.work.brokers,
                "group.id": group,
                "group.protocol": "consumer",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
            }
        )
        if restore is None:
            consumer.subscribe([topic])
        else:
            consumer.subscribe([topic], on_assign=lambda _, partitions: restore(partitions))
        self.consumers.append(consumer)

    def restore(self, partitions: list[TopicPartition]) -> None:
        """Read the changelog of these partitions into the dict."""
        totals = self.tables.totals
        for message in to_the_end(self.work.brokers, self.changelog, partitions):
            user, start, n, total = loads(message.value())  # type: ignore[arg-type] # nothing is ever deleted
            totals[user, start] = [n, total]

    def read_table(self, partitions: list[TopicPartition]) -> None:
        """Read the table's partitions of the same numbers."""
        rows = self.tables.rows
        for message in to_the_end(self.work.brokers, TABLE, partitions):
            rows[message.key()] = loads(message.value())  # type: ignore[arg-type,index] # the benchmark's table has both

    def run(self) -> None:
        """Read and commit until everything asked for is done."""
        if self.kind == "rekey":
            self.run_both_legs()
            return
        (consumer,) = self.consumers
        process = {"reduce": windowed, "counter": running, "restore": running}.get(self.kind)
        seen = 0
        while seen < self.work.records:
            messages = consumer.consume(10_000, 0.5)
            if not messages:
                continue
            self.begin()
            if process:
                process(messages, self.tables)
            else:
                self.join(messages)
            seen += len(messages)
            self.producer.poll(0)
            self.commit_if_due(is_last=seen >= self.work.records)

    def run_both_legs(self) -> None:
        """Filter into the repartition topic, and reduce what has arrived there, in the same transactions."""
        first, second = self.consumers
        seen = reduced = 0
        while reduced < self.work.kept:
            messages = first.consume(10_000, IDLE_S) if seen < self.work.records else []
            behind = second.consume(10_000, IDLE_S)
            if not messages and not behind:
                self.commit_if_due(is_last=False)
                continue
            self.begin()
            self.send_on(messages)
            repartitioned(behind, self.tables)
            seen += len(messages)
            reduced += len(behind)
            self.producer.poll(0)
            self.commit_if_due(is_last=reduced >= self.work.kept)

    def send_on(self, messages: list[Message]) -> None:
        """Send what is needed behind the repartition topic, under its new key."""
        produce, topic = self.producer.produce, self.repartition
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] != "view":
                user = event["user"]
                produce(topic, dumps((user, event["time"], event["amount"])), user)

    def join(self, messages: list[Message]) -> None:
        """Add the user's row."""
        produce, target, rows = self.producer.produce, self.work.target, self.tables.rows
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] == "view":
                continue
            key = message.key()
            event["profile"] = rows.get(key)  # type: ignore[arg-type] # as above
            produce(target, dumps(event), key)

    def begin(self) -> None:
        """Start the clock and the transaction where they do not run."""
        if not self.measurement.is_begun:
            self.measurement.begin()
        if not self.in_transaction:
            self.producer.begin_transaction()
            self.in_transaction = True
            self.committed_s = self.committed_s or time.perf_counter()

    def commit_if_due(self, *, is_last: bool) -> None:
        """Results, changelog and positions, all or nothing."""
        now_s = time.perf_counter()
        if not self.in_transaction or (
            now_s - self.committed_s < COMMIT_INTERVAL_S and not is_last
        ):
            return
        produce, target, changelog = self.producer.produce, self.work.target, self.changelog
        for (user, start), (n, total) in self.tables.changed.items():
            result = {"key": user, "n": n, "total": total}
            if start is not None:
                result["start"], result["end"] = start, start + WINDOW_MS
            produce(target, dumps(result), user)
            produce(changelog, dumps((user, start, n, total)), f"{user}|{start}")
        self.tables.totals.update(self.tables.changed)
        self.tables.changed = {}
        for consumer in self.consumers:
            positions = consumer.position(consumer.assignment())
            if positions:
                self.producer.send_offsets_to_transaction(
                    positions, consumer.consumer_group_metadata()
                )
        self.producer.commit_transaction()
        self.in_transaction = False
        self.committed_s = time.perf_counter()
        self.measurement.committed()


def create(brokers: str, topic: str, *, is_compacted: bool) -> None:
    """Create a topic of this loop unless an earlier start has."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 3})
    policy = "compact" if is_compacted else "delete"
    wanted = NewTopic(topic, 4, 1, config={"retention.ms": "-1", "cleanup.policy": policy})
    try:
        admin.create_topics([wanted])[topic].result(30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def to_the_end(brokers: str, topic: str, partitions: list[TopicPartition]) -> Iterator[Message]:
    """Every record of the partitions of these numbers up to now."""
    consumer = Consumer(
        {
            **CONSUMER,
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, one.partition, 0) for one in partitions])
    left = len(partitions)
    while left:
        for message in consumer.consume(10_000, 1.0):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 # the client's public error code
                left -= 1
            else:
                raise KafkaException(error)
    consumer.close()


WORKS = ("reduce", "rekey", "counter", "join", "restore")


def main() -> None:
    """Do what the command line asks."""
    work = asked()
    (kind,) = work.options
    assert kind in WORKS, f"the option is one of {', '.join(WORKS)}"
    loop = Loop(work, kind)
    if kind == "restore":
        loop.measurement.begin()
    loop.start()
    loop.run()
    loop.measurement.report("handwritten", work.group, work.records)
    for consumer in loop.consumers:
        consumer.close()


if __name__ == "__main__":
    main()
