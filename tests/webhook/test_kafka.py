"""A webhook on Apache Kafka: what the broker refuses is refused, and what was taken before is known from the topic."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import ProducerSettings
from headrace.runtime.errors import HeadraceError
from tests.conftest import TopicFactory
from tests.webhook.sending import answer, request
from tests.webhook.serving import served
from tests.webhook.test_outage import deliveries

pytestmark = pytest.mark.kafka

BYTES = {"content-type": "application/octet-stream"}


async def sent(port: int, *requests: tuple[bytes, Mapping[str, str]]) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for body, headers in requests:
        writer.write(request(body, {**BYTES, **headers}))
        statuses.append((await answer(reader))[0])
    writer.close()
    await writer.wait_closed()
    return statuses


def named(name: str) -> dict[str, str]:
    return {"x-delivery": name}


def test_deliveries_are_known_again_by_the_next_worker(kafka_brokers: str) -> None:
    config: dict[str, Any] = {
        "format": "bytes",
        "idempotency": {"header": "x-delivery"},
        "topic": f"hook-{uuid4()}",
    }
    requests = [(b"1", named(f"d-{number}")) for number in range(30)]

    with served(KafkaBroker(kafka_brokers), **config) as first:
        new = asyncio.run(sent(first.port, *requests))
    with served(KafkaBroker(kafka_brokers), **config) as second:
        again = asyncio.run(sent(second.port, *requests, (b"2", named("other"))))

    assert (new, again) == ([202] * 30, [200] * 30 + [202])
    assert set(deliveries(KafkaBroker(kafka_brokers), second.topic).values()) == {1}


def test_what_the_topic_does_not_take_is_413_whoever_notices(
    kafka_brokers: str, topic: TopicFactory
) -> None:
    """The client notices what is larger than the limit; the broker what is so with its batch around it."""
    name = topic("hook", config={"max.message.bytes": "10000"})
    sizes = (20_000, 10, 9_990, 10)  # random, since the limit is that of the compressed batch
    requests = [(os.urandom(size), named(str(n))) for n, size in enumerate(sizes)]
    config: dict[str, Any] = {
        "format": "bytes",
        "idempotency": {"header": "x-delivery"},
        "topic": name,
    }

    with served(KafkaBroker(kafka_brokers), **config) as hook:
        statuses = asyncio.run(sent(hook.port, *requests))

    assert statuses == [413, 202, 413, 202]
    assert deliveries(KafkaBroker(kafka_brokers), name) == {"1": 1, "3": 1}


def test_deliveries_that_arrived_are_reported_where_that_is_asked_for(
    kafka_brokers: str, topic: TopicFactory
) -> None:
    broker, name = KafkaBroker(kafka_brokers), topic("reported")
    told: dict[bool, list[int]] = {True: [], False: []}
    for is_reported in (True, False):
        settings = ProducerSettings(client_id="reporting", reports_deliveries=is_reported)
        producer = broker.producer(settings)
        for _ in range(3):
            found = told[is_reported]
            producer.produce(
                name, b"1", on_delivery=lambda error, message, to=found: to.append(message.offset())
            )
        producer.flush(30)
        producer.close()

    assert told == {True: [0, 1, 2], False: []}


def test_errors_of_records_that_are_too_large_are_told_from_others(
    kafka_brokers: str, topic: TopicFactory
) -> None:
    broker, name = KafkaBroker(kafka_brokers), topic("large")
    producer = broker.producer(ProducerSettings(client_id="large", message_bytes_max=1_000))

    with pytest.raises(Exception, match="Message size too large") as raised:
        producer.produce(name, b"x" * 2_000)
    producer.close()

    assert broker.is_too_large(raised.value)
    assert not broker.is_too_large(HeadraceError("another"))
