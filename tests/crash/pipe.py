"""A flow with one keyed stage, from one topic to another, for state that is large rather than manifold."""

import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import Admin, NewTopic, TopicPartition
from tests.crash.reading import read_committed
from tests.crash.workers import WAIT_S, Workers

SENDING_MAX = 50_000

FLOW = """
name: {name}
stages:
  - {{name: in, action: kafka, config: {{topics: {name}-in}}, out: good}}
  - {{name: good, action: filter, config: {{where: event.n >= 0}}, out: reduced}}
  - name: reduced
    action: reduce
    config: {config}
    out: sink
  - {{name: sink, action: publish, config: {{topic: {name}-out}}}}
"""


class Pipe(Workers):
    """Reduces the records of a topic of one partition; `config` is that of the stage, in YAML's short form."""

    def __init__(self, brokers: str, folder: Path, config: str, **settings: Any) -> None:
        self.brokers = brokers
        self.name = f"pipe-{uuid.uuid4().hex[:8]}"
        self.state_dir = folder / f"{self.name}-state"
        flow = folder / f"{self.name}.yaml"
        flow.write_text(FLOW.format(name=self.name, config=config))
        super().__init__(
            flow,
            folder,
            {
                "brokers": brokers,
                "state_dir": str(self.state_dir),
                "commit_interval": "50ms",
                "session_timeout": "6s",
                "group_protocol": "classic",
                "instance_id": "victim",
                **settings,
            },
        )
        self._sent = 0
        admin = KafkaBroker(brokers).admin()
        names = (f"{self.name}-in", f"{self.name}-out")
        admin.create([NewTopic(name=name, partitions=1) for name in names])
        admin.close()

    @property
    def store(self) -> Path:
        """Where its worker keeps its state."""
        return self.state_dir / f"headrace.{self.name}" / "victim" / "store"

    @property
    def changelog(self) -> TopicPartition:
        return TopicPartition(f"headrace.{self.name}.reduced.changelog", 0)

    def send(self, records: Iterable[tuple[str, int, dict[str, Any]]]) -> None:
        """Produce records: key, event time, event."""
        producer = Producer({"bootstrap.servers": self.brokers, "linger.ms": 5})
        for key, at_ms, event in records:
            value = orjson.dumps(event)
            if len(producer) >= SENDING_MAX:
                producer.flush()
            producer.produce(f"{self.name}-in", value, key, 0, timestamp=at_ms)
            self._sent += 1
        assert producer.flush(60) == 0

    def wait_read(self) -> None:
        """Wait until all that was sent is read and committed, also behind a repartition topic."""
        admin = KafkaBroker(self.brokers).admin()
        deadline = time.monotonic() + WAIT_S
        try:
            while not self._is_read(admin):
                assert time.monotonic() < deadline, "the worker does not come to the end"
                time.sleep(0.1)
        finally:
            admin.close()

    def _is_read(self, admin: Admin) -> bool:
        positions = admin.group_positions(f"headrace.{self.name}")
        if positions.pop(TopicPartition(f"{self.name}-in", 0), 0) < self._sent:
            return False
        ends = admin.ends(positions)
        # The end of a transaction has an offset too, which no position need tell.
        return all(offset + 2 >= ends[place] for place, offset in positions.items())

    def results(self, count: int) -> list[dict[str, Any]]:
        """What came out, in its order, when it is `count` at least and no more comes."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + WAIT_S
        for one in read_committed(self.brokers, [f"{self.name}-out"]):
            if one is not None:
                found.append(one.event)
            elif len(found) >= count:
                break
            else:
                assert time.monotonic() < deadline, f"{len(found)} of {count} results"
        return found
