"""The worker inside of an asyncio program."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace import Worker
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings
from headrace.runtime.errors import (
    BrokerUnavailableError,
    ClosedError,
    FlowStoppedError,
    SettingsError,
)
from headrace.runtime.flow import Flow
from tests.unit.running import flows_of

FLOW = """
name: {name}
stages:
  - {{name: in, action: kafka, config: {{topics: in}}, out: check}}
  - {{name: check, action: filter, config: {{where: event.a > 0}}, on_error: fail, out: sink}}
  - {{name: sink, action: publish, config: {{topic: "out-{name}"}}}}
"""


def flows(*names: str) -> list[Flow]:
    return flows_of(*(FLOW.format(name=name) for name in names))


def worker(broker: MemoryBroker, tmp_path: Path, *names: str, **given: Any) -> Worker:
    return Worker(
        flows(*names), broker=broker, state_dir=tmp_path, **{"create_topics": True, **given}
    )


def feed(broker: MemoryBroker, *values: bytes) -> None:
    producer = broker.producer(ProducerSettings(client_id="feeder"))
    for value in values:
        producer.produce("in", value)


def test_leaving_drains_and_commits(tmp_path: Path) -> None:
    broker = MemoryBroker(clock=SystemClock())

    async def main() -> dict[tuple[str, str], int]:
        async with worker(broker, tmp_path, "one", "two") as running:
            feed(broker, b'{"a": 1}', b'{"a": 2}')
            while running.statistics().records_read < 4:
                await asyncio.sleep(0.001)
        return dict(running.statistics().written)

    assert asyncio.run(main()) == {("one", "sink"): 2, ("two", "sink"): 2}


def test_a_flow_that_stops_ends_all_members_and_is_told_by_wait(tmp_path: Path) -> None:
    broker = MemoryBroker(clock=SystemClock())

    async def main() -> None:
        async with worker(broker, tmp_path, "one", "two", "three") as running:
            feed(broker, b'{"b": 1}')
            await asyncio.wait_for(running.wait(), 30)

    with pytest.raises(FlowStoppedError, match="stage 'check' failed on in"):
        asyncio.run(main())


def test_stop_ends_wait(tmp_path: Path) -> None:
    broker = MemoryBroker(clock=SystemClock())

    async def main() -> None:
        async with worker(broker, tmp_path, "one", "two") as running:
            running.stop()
            running.stop()
            await asyncio.wait_for(running.wait(), 30)

    asyncio.run(main())


def test_a_start_that_fails_half_way_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker(clock=SystemClock())
    made: list[Any] = []
    make = broker.producer

    def producer(settings: ProducerSettings) -> Any:
        if made:
            raise BrokerUnavailableError("no broker answered")
        made.append(make(settings))
        return made[0]

    monkeypatch.setattr(broker, "producer", producer)

    async def main() -> None:
        async with worker(broker, tmp_path, "one", "two"):
            pytest.fail("it started")

    with pytest.raises(BrokerUnavailableError):
        asyncio.run(main())
    with pytest.raises(ClosedError):
        made[0].begin_transaction()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"create_topics": False}, "reads topic 'in', which does not exist"),
        ({"partitons": 1}, "did you mean 'partitions'"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    async def main() -> None:
        async with worker(MemoryBroker(clock=SystemClock()), tmp_path, "one", **given):
            pytest.fail("it started")

    with pytest.raises(SettingsError, match=told):
        asyncio.run(main())


def test_a_worker_without_flows_and_one_used_twice_are_refused(tmp_path: Path) -> None:
    broker = MemoryBroker(clock=SystemClock())
    broker.admin().create([NewTopic(name="in", partitions=1)])

    async def main() -> None:
        with pytest.raises(SettingsError, match="no flow to run"):
            async with Worker([], broker=broker, state_dir=tmp_path):
                pytest.fail("it started")
        used = worker(broker, tmp_path, "one")
        async with used:
            pass
        with pytest.raises(ClosedError):
            async with used:
                pytest.fail("it started")

    asyncio.run(main())
