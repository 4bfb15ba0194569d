"""Values of a schema registry on a real broker: read and written in a transaction, and through a registry that goes away."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from headrace import Flow, SettingsError, Worker, parse_flows
from tests.conftest import TopicFactory
from tests.registry_server import RegistryServer, registry_running

pytestmark = pytest.mark.kafka

WAIT_S = 60.0
COUNT = 500
ORDER = """
{"type": "record", "name": "Order", "fields": [
  {"name": "id", "type": "long"},
  {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}}
]}
"""
FLOW = """
name: {name}
stages:
  - {{name: in, action: kafka, config: {{topics: {source}, format: avro}}, out: dear}}
  - {{name: dear, action: map, config: {{set: {{id: event.id + 1}}}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {sink}, format: avro, schema: {schema}}}}}
"""


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_running() as running:
        yield running


class World:
    """Topics of orders, read and written from outside with the client's own serializers."""

    def __init__(self, brokers: str, registry: RegistryServer, folder: Path) -> None:
        self.brokers = brokers
        self.client = SchemaRegistryClient({"url": registry.url})
        self.settings: dict[str, Any] = {
            "brokers": brokers,
            "state_dir": folder / "state",
            "schema_registry": {"url": registry.url, "timeout": "1s"},
        }

    def send(self, topic: str, first: int, count: int) -> None:
        serialize = AvroSerializer(self.client, ORDER)
        producer = Producer({"bootstrap.servers": self.brokers})
        context = SerializationContext(topic, MessageField.VALUE)
        for n in range(first, first + count):
            producer.produce(
                topic, serialize({"id": n, "price": Decimal(f"{n}.50")}, context), str(n)
            )
        assert producer.flush(30) == 0

    def received(self, topic: str, partitions: int, count: int) -> list[Any]:
        """What a read-committed reader with the client's own deserializer finds."""
        deserialize = AvroDeserializer(self.client)
        context = SerializationContext(topic, MessageField.VALUE)
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "reader"})
        consumer.assign([Place(topic, n, 0) for n in range(partitions)])
        found: list[Any] = []
        try:
            for _ in range(int(WAIT_S)):
                messages = consumer.consume(10_000, 1.0)
                found += [deserialize(message.value(), context) for message in messages]
                if len(found) >= count and not messages:
                    break
        finally:
            consumer.close()
        return found


@pytest.fixture
def world(kafka_brokers: str, registry: RegistryServer, tmp_path: Path) -> Iterator[World]:
    made = World(kafka_brokers, registry, tmp_path)
    yield made
    made.client.close()


def copying(source: str, sink: str) -> Flow:
    given = f"{{inline: {ORDER.strip()}, auto_register: true}}"
    (made,) = parse_flows(
        FLOW.format(name=f"copy {source}", source=source, sink=sink, schema=given)
    )
    return made


async def until(worker: Worker, reached: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not reached(worker.statistics()):
            await asyncio.sleep(0.02)


def test_others_read_what_a_flow_made_of_what_others_wrote(
    world: World, topic: TopicFactory
) -> None:
    source, sink = topic("in", partitions=2), topic("out", partitions=2)
    world.send(source, 0, COUNT)

    async def work() -> None:
        async with Worker(copying(source, sink), **world.settings) as worker:
            await until(worker, lambda now: now.records_read >= COUNT and now.commits)

    asyncio.run(work())

    found = world.received(sink, 2, COUNT)
    assert sorted(one["id"] for one in found) == list(range(1, COUNT + 1))
    assert {str(one["price"]) for one in found} == {f"{n}.50" for n in range(COUNT)}


def test_a_registry_that_goes_away_holds_the_flow_up_and_loses_and_doubles_nothing(
    world: World, registry: RegistryServer, topic: TopicFactory
) -> None:
    source, sink = topic("in"), topic("out")
    registry.put(f"{source}-value", ORDER)
    world.send(source, 0, COUNT)

    async def work() -> None:
        registry.failing = 503
        async with Worker(copying(source, sink), **world.settings) as worker:
            await until(worker, lambda now: now.aborts)
            registry.failing = 0
            await until(worker, lambda now: now.commits)

    asyncio.run(work())

    found = world.received(sink, 1, COUNT)
    assert [one["id"] for one in found] == list(range(1, COUNT + 1))


def test_a_topic_without_a_subject_is_told_when_the_worker_starts(
    world: World, topic: TopicFactory
) -> None:
    source, sink = topic("in"), topic("out")
    text = FLOW.format(name=f"copy {source}", source=source, sink=sink, schema="{}")

    async def work() -> None:
        async with Worker(parse_flows(text), **world.settings):
            pass

    with pytest.raises(SettingsError, match=f"subject '{sink}-value' has no schema"):
        asyncio.run(work())
