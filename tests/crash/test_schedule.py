"""Schedules whose owners are killed and frozen: every due time fires once."""

import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import NewTopic
from tests.crash.reading import Found, read_committed
from tests.crash.workers import WAIT_S, Workers, ready

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FLOW = """
name: {name}
stages:
  - {{name: tick, action: schedule, config: {{every: 1s, misfire: all, jitter: 300ms}}, out: noted}}
  - {{name: noted, action: map, config: {{set: {{run: run.id}}}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-out}}}}
"""


@dataclass
class Scheduled:
    """A flow that ticks every second, and its workers."""

    brokers: str
    name: str
    workers: Workers

    def first(self, topic: str, count: int) -> list[Found]:
        """The first records of a topic, as soon as there are so many."""
        found: list[Found] = []
        silent_s = 0
        for record in read_committed(self.brokers, [topic]):
            silent_s = silent_s + 1 if record is None else 0
            assert silent_s < WAIT_S, f"{topic} has {len(found)} records for {WAIT_S} s"
            if record is not None:
                found.append(record)
            if len(found) >= count:
                break
        return found

    def ticks(self, count: int) -> list[Found]:
        return self.first(f"{self.name}.tick", count)


@pytest.fixture
def scheduled(kafka_brokers: str, tmp_path: Path) -> Iterator[Scheduled]:
    name = f"ticking-{uuid.uuid4().hex[:8]}"
    document = tmp_path / "flow.yaml"
    document.write_text(FLOW.format(name=name))
    admin = KafkaBroker(kafka_brokers).admin()
    admin.create([NewTopic(name=f"{name}-out", partitions=1)])
    admin.close()
    settings = {
        "brokers": kafka_brokers,
        "state_dir": str(tmp_path / "state"),
        "session_timeout": "6s",
    }
    workers = Workers(document, tmp_path, settings)
    yield Scheduled(kafka_brokers, name, workers)
    workers.clean_up()


def due_of(found: list[Found]) -> list[int]:
    return [int(datetime.fromisoformat(one.event["due"]).timestamp()) for one in found]


def assert_each_once(scheduled: Scheduled, count: int) -> None:
    """Every second from the first to the last has one tick, and every tick one run."""
    ticks = scheduled.ticks(count)
    results = scheduled.first(f"{scheduled.name}-out", count)
    due = due_of(ticks)
    assert due == list(range(due[0], due[0] + len(due)))
    assert due_of(results) == due
    assert len({one.event["run"] for one in results}) == len(results)


def test_due_times_fire_once_though_their_owners_are_killed(scheduled: Scheduled) -> None:
    owner, other = scheduled.workers.start(), scheduled.workers.start()
    ready(owner)
    fired = 3
    scheduled.ticks(fired)
    for _ in range(4):
        owner.murder()
        owner, other = other, scheduled.workers.start()
        fired += 8
        scheduled.ticks(fired)

    assert_each_once(scheduled, fired + 3)


def test_an_owner_that_was_frozen_fires_nothing_that_another_has_fired(
    scheduled: Scheduled,
) -> None:
    frozen = scheduled.workers.start()
    ready(frozen)
    scheduled.ticks(3)
    scheduled.workers.start()

    frozen.send_signal(signal.SIGSTOP)
    scheduled.ticks(20)
    frozen.send_signal(signal.SIGCONT)

    assert_each_once(scheduled, 30)
