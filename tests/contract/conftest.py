"""The broker contract runs on the broker in memory and on Apache Kafka."""

from collections.abc import Iterator

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock, SystemClock
from tests.contract.world import World

KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)
KAFKA_CLASSIC = pytest.param("kafka-classic", marks=pytest.mark.kafka)


def open_world(kind: str, request: pytest.FixtureRequest) -> Iterator[World]:
    """A world of one kind, closed afterwards."""
    if kind == "memory":
        clock = ManualClock(1_700_000_000_000)
        world = World(MemoryBroker(clock=clock), clock)
    else:
        brokers: str = request.getfixturevalue("kafka_brokers")
        protocol = "classic" if kind == "kafka-classic" else "auto"
        world = World(KafkaBroker(brokers), SystemClock(), protocol)  # type: ignore[arg-type] # literals
    yield world
    world.close()


@pytest.fixture(params=["memory", KAFKA])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from open_world(request.param, request)
