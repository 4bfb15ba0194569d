"""The loop that a good engineer writes by hand with confluent-kafka and orjson: the bar.

An option names another way to write its inside, for the cost breakdown: `keywords` calls the client by keywords,
`timestamps` and `headers` keep of a record what headrace keeps, `guarded` makes a failure that of its record.
"""

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer
from orjson import dumps, loads

from benchmarks.contenders.client_settings import COMMIT_INTERVAL_S, CONSUMER, PRODUCER
from benchmarks.contenders.measurement import Measurement, Work, asked


def run(
    work: Work, process: Callable[[list[Message]], None], consumer: Consumer, producer: Producer
) -> Measurement:
    """Read until `work.records` are read; positions and outputs in one transaction per interval."""
    measurement = Measurement()
    seen, committed_s, in_transaction = 0, 0.0, False
    while seen < work.records:
        messages = consumer.consume(10_000, 0.5)
        if not messages:
            continue
        if not measurement.is_begun:
            measurement.begin()
            committed_s = time.perf_counter()
        if not in_transaction:
            producer.begin_transaction()
            in_transaction = True
        process(messages)
        seen += len(messages)
        producer.poll(0)
        if time.perf_counter() - committed_s >= COMMIT_INTERVAL_S or seen >= work.records:
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
            )
            producer.commit_transaction()
            in_transaction = False
            committed_s = time.perf_counter()
            measurement.committed()
    return measurement


def plain(produce: Any, target: str) -> Callable[[list[Message]], None]:
    """Filter, add the total, publish."""

    def process(messages: list[Message]) -> None:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] == "view":
                continue
            event["total"] = event["amount"] * 1.2
            produce(target, dumps(event), message.key())

    return process


def keywords(produce: Any, target: str) -> Callable[[list[Message]], None]:
    """The same, with the client called by keywords."""

    def process(messages: list[Message]) -> None:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] == "view":
                continue
            event["total"] = event["amount"] * 1.2
            produce(target, key=message.key(), value=dumps(event))

    return process


def timestamped(produce: Any, target: str) -> Callable[[list[Message]], None]:
    """The same, and the record's event time stays."""

    def process(messages: list[Message]) -> None:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] == "view":
                continue
            event["total"] = event["amount"] * 1.2
            produce(target, dumps(event), message.key(), -1, None, None, message.timestamp()[1])

    return process


def headed(produce: Any, target: str) -> Callable[[list[Message]], None]:
    """The same, and event time and headers stay."""

    def process(messages: list[Message]) -> None:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
            if event["kind"] == "view":
                continue
            event["total"] = event["amount"] * 1.2
            produce(
                target,
                dumps(event),
                message.key(),
                -1,
                None,
                None,
                message.timestamp()[1],
                message.headers(),
            )

    return process


def guarded(produce: Any, target: str) -> Callable[[list[Message]], None]:
    """The same as `headed`, and a record that fails is counted instead of ending the loop."""
    failed: list[BaseException] = []

    def process(messages: list[Message]) -> None:
        for message in messages:
            try:
                event = loads(message.value())  # type: ignore[arg-type] # the benchmark's records have values
                if event["kind"] == "view":
                    continue
                event["total"] = event["amount"] * 1.2
                produce(
                    target,
                    dumps(event),
                    message.key(),
                    -1,
                    None,
                    None,
                    message.timestamp()[1],
                    message.headers(),
                )
            except Exception as error:
                failed.append(error)

    return process


KINDS = {
    "plain": plain,
    "keywords": keywords,
    "timestamps": timestamped,
    "headers": headed,
    "guarded": guarded,
}


def main() -> None:
    """Do what the command line asks; its option is one of `KINDS`."""
    work = asked()
    kind = work.options[0] if work.options else "plain"
    consumer = Consumer(
        {
            **CONSUMER,
            "bootstrap.servers": work.brokers,
            "group.id": work.group,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
    )
    producer = Producer(
        {
            **PRODUCER,
            "bootstrap.servers": work.brokers,
            "transactional.id": work.group,
            "delivery.report.only.error": True,
        }
    )
    producer.init_transactions()
    consumer.subscribe([work.source])
    measurement = run(work, KINDS[kind](producer.produce, work.target), consumer, producer)
    measurement.report(
        "handwritten" if kind == "plain" else f"handwritten-{kind}", work.group, work.records
    )
    consumer.close()


if __name__ == "__main__":
    main()
