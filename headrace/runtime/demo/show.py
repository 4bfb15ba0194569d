"""Runs the demo and shows what came out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headrace.runtime.cli.output import count, print_table, stderr, stdout
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    Broker,
    ConsumerSettings,
    NewTopic,
    Producer,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.demo.broker import DemoBroker
from headrace.runtime.demo.flights import FLIGHTS, data_file, read_flights, scheduled_ms
from headrace.runtime.errors import RestartError
from headrace.runtime.flow import Flow, parse_flows
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.worker import Worker

SOURCE, SINKS = "demo.flights", ("demo.late", "demo.cancelled")
PARTITIONS = 4
EXAMPLES = 3
WAIT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What the demo did. `examples` are some records per topic, `records` what a read-committed reader finds in it."""

    where: str
    brokers: str
    flights: int
    seconds: float
    failed: int
    records: Mapping[str, int]
    examples: Mapping[str, Sequence[Any]]

    @property
    def per_second(self) -> float:
        return self.flights / self.seconds if self.seconds else 0.0

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "where": self.where,
            "flights": self.flights,
            "seconds": round(self.seconds, 3),
            "per_second": round(self.per_second),
            "failed": self.failed,
            "records": dict(self.records),
            "examples": {topic: list(some) for topic, some in self.examples.items()},
        }


def demo_flow() -> Flow:
    """The flow of the demo, from the document in this package."""
    text = files("headrace.runtime.demo").joinpath("flights.yaml").read_text("utf-8")
    return parse_flows(text, "flights.yaml")[0]


def run_demo(found: DemoBroker, *, is_quiet: bool) -> Outcome:
    """Produce the flights, run the flow over them, and read back what came out.

    Raises:
        SettingsError: the data set is not installed.
        BrokerUnavailableError: the broker does not answer.
    """
    path = data_file()
    _recreate_topics(found.broker)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr(), disable=is_quiet) as progress:
        _produce(found.broker, path, progress)
        with TemporaryDirectory(prefix="headrace-demo-") as folder:
            settings = WorkerSettings.model_validate({"state_dir": folder, "prefix": "demo"})
            seconds, failed = asyncio.run(_run(found.broker, settings, progress))
    records, examples = _read_back(found.broker)
    return Outcome(found.text, found.brokers, FLIGHTS, seconds, failed, records, examples)


def _recreate_topics(broker: Broker) -> None:
    """Empty topics, whatever an earlier demo left; their records are of 2013, so they must not expire."""
    admin = broker.admin()
    try:
        stale = [name for name in admin.topics() if name.startswith("demo.")]
        admin.delete(stale)
        admin.delete_group("demo.demo-flights")
        forever = {"retention.ms": "-1"}
        names = (SOURCE, *SINKS)
        admin.create([NewTopic(name=n, partitions=PARTITIONS, config=forever) for n in names])
    finally:
        admin.close()


def _produce(broker: Broker, path: Any, progress: Progress) -> None:
    task = progress.add_task("producing the flights", total=FLIGHTS)
    producer = broker.producer(ProducerSettings(client_id="headrace-demo"))
    try:
        flights = read_flights(path)
        while some := list(islice(flights, 5_000)):
            for flight in some:
                _send(producer, orjson.dumps(flight), str(flight["origin"]), scheduled_ms(flight))
            producer.poll(0)
            progress.advance(task, len(some))
        producer.flush(WAIT_S)
    finally:
        producer.close()


def _send(producer: Producer, value: bytes, key: str, timestamp: int) -> None:
    while True:
        try:
            producer.produce(SOURCE, value, key, timestamp=timestamp)
        except BufferError:
            producer.poll(0.1)
        else:
            return


async def _run(broker: Broker, settings: WorkerSettings, progress: Progress) -> tuple[float, int]:
    """Run the flow until it has read every flight; how long that took up to the last commit, and what failed."""
    clock = SystemClock()
    task = progress.add_task("running the flow", total=FLIGHTS)
    deadline_s = clock.monotonic_s() + WAIT_S
    async with Worker(demo_flow(), settings=settings, broker=broker) as worker:
        begun_s = clock.monotonic_s()
        while (done := worker.statistics()).records_read < FLIGHTS:
            progress.update(task, completed=done.records_read)
            if clock.monotonic_s() > deadline_s:
                raise RestartError(
                    f"only {done.records_read} of {FLIGHTS} flights were read in {WAIT_S:.0f} s"
                )
            await asyncio.sleep(0.02)
    # Leaving the worker has committed everything.
    done = worker.statistics()
    progress.update(task, completed=done.records_read)
    return done.last_commit_s - begun_s, sum(done.failed.values())


class _FromTheBeginning:
    """Reads whole topics."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing was done for them."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing was done for them."""


def _read_back(broker: Broker) -> tuple[dict[str, int], dict[str, list[Any]]]:
    records, examples = dict.fromkeys(SINKS, 0), {topic: list[Any]() for topic in SINKS}
    consumer = broker.consumer(
        ConsumerSettings(group="demo.reader", client_id="headrace-demo-reader")
    )
    clock = SystemClock()
    try:
        consumer.subscribe(SINKS, _FromTheBeginning())
        quiet_since_s = clock.monotonic_s()
        while not consumer.assignment() or clock.monotonic_s() - quiet_since_s < 1.0:
            messages = consumer.consume(10_000, 0.2)
            if messages or not consumer.assignment():
                quiet_since_s = clock.monotonic_s()
            for message in messages:
                topic = message.topic()
                records[topic] += 1
                if len(examples[topic]) < EXAMPLES:
                    examples[topic].append(orjson.loads(message.value() or b"null"))
    finally:
        consumer.close()
    return records, examples


def show(outcome: Outcome) -> None:
    """Tell what came out, how fast, and where to look next."""
    console = stdout()
    console.print(
        f"\n{count(outcome.flights)} flights on {outcome.where}", style="bold", soft_wrap=True
    )
    rows = [[topic, count(n)] for topic, n in outcome.records.items()]
    print_table(console, ["topic", "records, read committed"], rows, " >")
    for topic, some in outcome.examples.items():
        for example in some[:2]:
            console.print(
                f"  {topic}: {orjson.dumps(example).decode()}", soft_wrap=True, style="dim"
            )
    console.print(
        f"\n{count(outcome.flights)} flights in {outcome.seconds:.2f} s: {count(round(outcome.per_second))} records/s,"
        f" exactly once, {count(outcome.failed)} failed",
        style="bold",
        soft_wrap=True,
    )
    console.print(
        "\nwhere to look next\n"
        "  headrace plan --code FLOW    the Python function that a flow compiles to\n"
        "  headrace broker start        a Kafka that stays; then headrace demo again, and headrace topics\n"
        "  headrace test FLOW           a flow's test cases, without a broker\n"
        "  README.md, examples/         flows of your own",
        soft_wrap=True,
    )
