"""Feeds a flow while workers die, and looks at what a read-committed reader sees in the end."""

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.errors import HeadraceError
from tests.crash.workers import WAIT_S, Workers

PARTITIONS = 4
BAD_EVERY = 97
"""Every so many records one is not JSON, and one lacks the field that the flow reads."""

FLOW = """
name: {name}
stages:
  - name: in
    action: kafka
    config: {{topics: {source}}}
    out: [keep, copy]
  - name: keep
    action: filter
    config: {{where: event.n % 3 != 0}}
    out: twice
  - name: twice
    link: topic
    action: map
    config: {{set: {{twice: event.n * 2, run: run.id}}}}
    out: sink
  - name: sink
    action: publish
    config: {{topic: {sink}}}
  - name: copy
    action: publish
    config: {{topic: {copy}}}
"""


class Crash(Workers):
    """A flow with a link topic, two outputs and dead letters; `feed` produces to it until `end_feed`.

    Records are `{"n": 0}`, `{"n": 1}`, ... over all partitions, numbered in order within each partition.
    """

    def __init__(self, brokers: str, folder: Path, **settings: Any) -> None:
        unique = uuid.uuid4().hex[:8]
        self.brokers = brokers
        self.source, self.sink, self.copy = (f"{name}-{unique}" for name in ("in", "out", "copy"))
        self.name = f"crash-{unique}"
        self.dead_letters = f"headrace.{self.name}.dead-letters"
        self.flow = folder / f"{self.name}.yaml"
        self.flow.write_text(
            FLOW.format(name=self.name, source=self.source, sink=self.sink, copy=self.copy)
        )
        super().__init__(
            self.flow,
            folder,
            {
                "brokers": brokers,
                "state_dir": str(folder / "state"),
                "commit_interval": "50ms",
                "session_timeout": "6s",
                **settings,
            },
        )
        self.sent = 0
        self._fed = Event()
        self._feeder: Thread | None = None
        admin = KafkaBroker(brokers).admin()
        admin.create(
            [
                NewTopic(name=name, partitions=PARTITIONS)
                for name in (self.source, self.sink, self.copy)
            ]
        )
        admin.close()

    # ---- records

    def feed(self, per_second: int) -> None:
        """Produce in the background, until `end_feed`."""
        self._feeder = Thread(target=self._feed, args=(per_second,), daemon=True)
        self._feeder.start()

    def _feed(self, per_second: int) -> None:
        producer = Producer(
            {"bootstrap.servers": self.brokers, "enable.idempotence": True, "linger.ms": 5}
        )
        while not self._fed.is_set():
            self.valve.passed(producer)
            for _ in range(max(1, per_second // 50)):
                value = orjson.dumps({"n": self.sent})
                if self.sent % BAD_EVERY == 5:
                    value = b"{not json %d" % self.sent
                producer.produce(self.source, value, str(self.sent), self.sent % PARTITIONS)
                self.sent += 1
            producer.poll(0)
            self._fed.wait(0.02)
        assert producer.flush(60) == 0

    def end_feed(self) -> None:
        """Produce no more, and wait until all of it has arrived."""
        assert self._feeder
        self._fed.set()
        self._feeder.join(WAIT_S)
        assert not self._feeder.is_alive()

    def clean_up(self) -> None:
        """End what still runs."""
        self._fed.set()
        super().clean_up()
        if self._feeder:
            self._feeder.join(WAIT_S)

    # ---- progress

    def committed(self) -> dict[TopicPartition, int]:
        """The group's positions in the source topic; waits while a transaction holds them."""
        deadline = time.monotonic() + WAIT_S
        admin = KafkaBroker(self.brokers).admin()
        try:
            while True:
                try:
                    found = admin.group_positions(f"headrace.{self.name}")
                    break
                except HeadraceError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
        finally:
            admin.close()
        return {
            place: found.get(place, 0)
            for place in (TopicPartition(self.source, p) for p in range(PARTITIONS))
        }

    def wait_progress(
        self, before: dict[TopicPartition, int] | None = None, partitions: str = "any"
    ) -> None:
        """Wait until the positions of any, or of all, partitions have moved on, from where they are now or were before."""
        before = self.committed() if before is None else before
        meets = all if partitions == "all" else any
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            now = self.committed()
            if meets(now[place] > before[place] for place in before):
                return
            assert self.is_alive, f"all workers have ended:\n{self.logged}"
            time.sleep(0.1)
        raise AssertionError(f"no progress within {WAIT_S} s: {before}\n{self.logged}")

    # ---- results

    def expected(self) -> dict[str, list[int]]:
        """What must be in each topic, as the numbers of the records."""
        bad = {n for n in range(self.sent) if n % BAD_EVERY == 5}
        good = [n for n in range(self.sent) if n not in bad]
        return {
            self.copy: good,
            self.sink: [n for n in good if n % 3],
            self.dead_letters: sorted(bad),
        }

    def wait_done(self, timeout_s: float = WAIT_S) -> None:
        """Wait until as many records came out as must, and then see that each is there once and in order."""
        expected = self.expected()
        found = {topic: defaultdict[int, list[int]](list) for topic in expected}
        deadline = time.monotonic() + timeout_s
        missing = sum(map(len, expected.values()))
        for topic, partition, number in self._read(list(expected)):
            if topic:
                found[topic][partition].append(number)
                missing -= 1
            elif missing <= 0 or time.monotonic() > deadline or not self.is_alive:
                break
        for topic, numbers in expected.items():
            by_partition = found[topic]
            counted = Counter(n for some in by_partition.values() for n in some)
            lost = [n for n in numbers if not counted[n]]
            doubled = [n for n, times in counted.items() if times > 1]
            assert not lost, (
                f"{topic}: {len(lost)} of {len(numbers)} lost: {lost[:10]}\n{self._situation(topic)}"
            )
            assert not doubled, f"{topic}: {len(doubled)} doubled: {doubled[:10]}"
            if topic == self.dead_letters:
                continue
            for partition, some in by_partition.items():
                for source in range(PARTITIONS):
                    of_source = [n for n in some if n % PARTITIONS == source]
                    assert of_source == sorted(of_source), f"{topic}[{partition}] is out of order"

    def _situation(self, topic: str) -> str:
        """Where the group and the partitions of a topic stand, and what the workers said last."""
        lines = [f"positions {self.committed()} of {self.sent} records"]
        for level in ("read_committed", "read_uncommitted"):
            reader = Consumer(
                {
                    "bootstrap.servers": self.brokers,
                    "group.id": f"reader-{uuid.uuid4()}",
                    "isolation.level": level,
                }
            )
            ends = [reader.get_watermark_offsets(Place(topic, p), 30) for p in range(PARTITIONS)]
            lines.append(f"{level}: {ends}")
            reader.close()
        return "\n".join([*lines, self.logged])

    def _read(self, topics: list[str]) -> Iterator[tuple[str, int, int]]:
        """Records as a read-committed reader sees them; an empty topic name whenever nothing came for a second."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": f"reader-{uuid.uuid4()}",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        admin = KafkaBroker(self.brokers).admin()
        counts = admin.topics()
        ends = {
            TopicPartition(topic, partition): 0
            for topic in topics
            for partition in range(counts.get(topic, 0))
        }
        consumer.assign([Place(topic, partition, 0) for topic, partition in ends])
        try:
            while True:
                messages = consumer.consume(5_000, 1.0)
                for message in messages:
                    assert message.error() is None, message.error()
                    value = message.value() or b""
                    digits = value[10:] if value.startswith(b"{not") else None
                    number = int(digits) if digits else orjson.loads(value)["n"]
                    yield str(message.topic()), int(message.partition() or 0), number
                if not messages:
                    yield "", 0, 0
        finally:
            consumer.close()
            admin.close()
