"""Whether the contenders on librdkafka run with the settings that headrace runs with."""

from collections.abc import Iterator, Mapping

from benchmarks.contenders.client_settings import CONSUMER, PRODUCER
from headrace.connectors.kafka_consumer import consumer_configuration
from headrace.connectors.kafka_producer import producer_configuration
from headrace.runtime.contracts.broker import ConsumerSettings, ProducerSettings

NOT_SPEED = frozenset({"bootstrap.servers", "client.id", "group.id", "transactional.id"})


def differences() -> Iterator[str]:
    """Each shared setting that headrace has with another value, or not at all."""
    consumer = consumer_configuration(
        "none", {}, ConsumerSettings(group="none", client_id="none"), "consumer"
    )
    producer = producer_configuration(
        "none", {}, ProducerSettings(client_id="none", transactional_id="none")
    )
    yield from _differences("consumer", CONSUMER, consumer)
    yield from _differences("producer", PRODUCER, producer)


def _differences(
    role: str, shared: Mapping[str, object], headrace: Mapping[str, object]
) -> Iterator[str]:
    for name, value in shared.items():
        if headrace.get(name) != value:
            yield f"{role} setting {name} is {value} here and {headrace.get(name)} in headrace"
