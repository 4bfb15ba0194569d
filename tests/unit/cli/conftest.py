"""A command line on a broker in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.cli.main import headrace
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings

ORDERS = """
name: orders
stages:
  - {name: arrivals, action: kafka, config: {topics: orders}, out: large}
  - {name: large, action: filter, config: {where: event.amount > 100}, out: totals}
  - {name: totals, action: publish, config: {topic: totals}}
"""

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls `headrace` with words, in a folder of its own that holds `orders.yaml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "orders.yaml").write_text(ORDERS)
    runner = CliRunner()
    return lambda *words: runner.invoke(headrace, words)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """The broker that commands reach, whatever they are told: `orders` and `totals`, with two partitions each."""
    broker = MemoryBroker(clock=SystemClock())
    admin = broker.admin()
    admin.create([NewTopic(name=name, partitions=2) for name in ("orders", "totals")])
    monkeypatch.setattr("headrace.runtime.brokers.connect", lambda *_: broker)
    return broker


def send(broker: MemoryBroker, topic: str, *values: Any, timestamp: int = 0) -> None:
    """Write records as JSON; text goes as it is."""
    producer = broker.producer(ProducerSettings(client_id="test"))
    for value in values:
        data = value if isinstance(value, str) else json.dumps(value)
        producer.produce(topic, data.encode(), key=b"a", timestamp=timestamp)
    producer.flush(5)
    producer.close()
