"""Whether the contenders on librdkafka run with the settings that headrace runs with."""

from collections.abc import Iterator, Mapping

from benchmarks.contenders.client_settings import CONSUMER, PRODUCER
from headrace.connectors.kafka.consumer_settings import consumer_configuration
from headrace.connectors.kafka.producer import producer_configuration
from headrace.runtime.contracts.broker import ConsumerSettings, ProducerSettings

# What names a client or decides what it promises; every contender sets its own.
NOT_SPEED = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "client.id",
        "delivery.report.only.error",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.protocol",
        "max.poll.interval.ms",
        "message.max.bytes",
        "topic.metadata.propagation.max.ms",
        "topic.metadata.refresh.interval.ms",
        "transaction.timeout.ms",
        "transactional.id",
    }
)


def differences() -> Iterator[str]:
    """Each setting that could matter to speed and that headrace and the others have not with the same value."""
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
    for name in sorted({*shared, *headrace} - NOT_SPEED):
        if shared.get(name) != headrace.get(name):
            yield f"{role} setting {name} is {shared.get(name)} here and {headrace.get(name)} in headrace"
