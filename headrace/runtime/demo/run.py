"""Runs the demo: topics, flights, the flow, and what came out of it."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from headrace.runtime.cli.output import stderr
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    Broker,
    NewTopic,
    Producer,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.demo.broker import DemoBroker
from headrace.runtime.demo.flights import (
    FLIGHTS,
    data_folder,
    departure_ms,
    hour_ms,
    read_airlines,
    read_flights,
    read_weather,
)
from headrace.runtime.errors import RestartError
from headrace.runtime.flow import Flow, parse_flows
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.worker import Worker

AIRLINES, WEATHER, SOURCE, SINK = "demo.airlines", "demo.weather", "demo.flights", "demo.hours"
PARTITIONS = 4
POLL_EVERY = 5_000
WAIT_S = 120.0

Hour = dict[str, Any]
"""A result of the flow."""


@dataclass(frozen=True)
class Outcome:
    """What the demo did. `hours` are the results as a read-committed reader finds them, in the order of time and airport."""

    where: str
    seconds: float
    failed: int
    hours: Sequence[Hour] = field(repr=False)


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
    folder = data_folder()
    _recreate_topics(found.broker)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        Elapsed(),
    )
    with Progress(*columns, console=stderr(), disable=is_quiet) as progress:
        departures = _produce(found.broker, folder, progress)
        with TemporaryDirectory(prefix="headrace-demo-") as state:
            settings = WorkerSettings.model_validate(
                # All flights are there already: a partition that was read to its end has nothing to wait for.
                {"state_dir": state, "prefix": "demo", "idle_after": "1s"}
            )
            seconds, failed, hours = asyncio.run(_run(found.broker, settings, departures, progress))
    hours.sort(key=lambda hour: (hour["start"], hour["key"]))
    return Outcome(found.text, seconds, failed, hours)


def _recreate_topics(broker: Broker) -> None:
    """Empty topics, whatever an earlier demo left; their records are of 2013, so they must not expire."""
    admin = broker.admin()
    try:
        stale = [name for name in admin.topics() if name.startswith("demo.")]
        admin.delete(stale)
        admin.delete_group("demo.demo-flights")
        forever = {"retention.ms": "-1"}
        names = (AIRLINES, WEATHER, SOURCE, SINK)
        admin.create([NewTopic(name=n, partitions=PARTITIONS, config=forever) for n in names])
    finally:
        admin.close()


def _produce(broker: Broker, folder: Path, progress: Progress) -> int:
    """Write what the flow reads, the flights in the order of their schedule; how many of them departed."""
    task = progress.add_task("producing the flights", total=FLIGHTS)
    producer = broker.producer(ProducerSettings(client_id="headrace-demo"))
    try:
        for airline in read_airlines(folder):
            _send(producer, AIRLINES, airline["carrier"], airline, 0)
        for row in read_weather(folder):
            _send(producer, WEATHER, str(row["origin"]), row, hour_ms(row))
        departures = 0
        scheduled: list[tuple[int, str, bytes]] = []
        for flight in read_flights(folder):
            departures += flight["dep_delay"] is not None
            # A copy, since what orjson returns holds 4 KiB and more for as long as it is kept.
            value = bytes(memoryview(orjson.dumps(flight)))
            scheduled.append((departure_ms(flight), str(flight["carrier"]), value))
        scheduled.sort(key=lambda one: one[0])
        _send_all(producer, scheduled, progress, task)
        producer.flush(WAIT_S)
    finally:
        producer.close()
    return departures


def _send_all(
    producer: Producer, flights: Iterable[tuple[int, str, bytes]], progress: Progress, task: TaskID
) -> None:
    for number, (timestamp, carrier, flight) in enumerate(flights, 1):
        _send(producer, SOURCE, carrier, flight, timestamp)
        if number % POLL_EVERY == 0:
            producer.poll(0)
            progress.update(task, completed=number)
    progress.update(task, completed=FLIGHTS)


def _send(producer: Producer, topic: str, key: str, value: Any, timestamp: int) -> None:
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    while True:
        try:
            producer.produce(topic, data, key, timestamp=timestamp)
        except BufferError:
            producer.poll(0.1)
        else:
            return


async def _run(
    broker: Broker, settings: WorkerSettings, departures: int, progress: Progress
) -> tuple[float, int, list[Hour]]:
    """Run the flow until every departure is in a result: how long it read, how many records failed, and the results."""
    clock = SystemClock()
    async with Worker(demo_flow(), settings=settings, broker=broker) as worker:
        begun_s = clock.monotonic_s()
        hours = await asyncio.to_thread(_results, broker, worker, departures, progress)
    done = worker.statistics()
    return done.last_record_s - begun_s, sum(done.failed.values()), hours


def _results(broker: Broker, worker: Worker, departures: int, progress: Progress) -> list[Hour]:
    """The committed results, read while the flow runs, until they count every departure."""
    task = progress.add_task("running the flow", total=departures)
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + WAIT_S
    hours: list[Hour] = []
    counted = failed = 0
    reader = broker.reader("headrace-demo-reader", {})
    try:
        reader.assign({TopicPartition(SINK, number): 0 for number in range(PARTITIONS)})
        while counted + failed < departures:
            if clock.monotonic_s() > deadline_s:
                raise RestartError(
                    f"only {counted} of {departures} flights were counted in {WAIT_S:.0f} s"
                )
            messages = reader.read(10_000, 0.1)
            hours += [orjson.loads(message.value() or b"") for message in messages]
            counted += sum(hour["departures"] for hour in hours[-len(messages) :] if messages)
            failed = sum(worker.statistics().failed.values())
            progress.update(task, completed=counted)
    finally:
        reader.close()
    return hours
