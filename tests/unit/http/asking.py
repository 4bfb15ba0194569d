"""A worker on a broker in memory that answers over HTTP, and somebody who asks."""

import asyncio
import http.client
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headrace import Worker
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings
from tests.unit.running import flows_of

WAIT_S = 30.0


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def get(address: str | None, path: str, *, method: str = "GET", **headers: str) -> Answered:
    """Ask; the path goes as it is, and underscores in names of headers stand for dashes."""
    assert address is not None
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        return Answered(response.status, dict(response.headers.items()), response.read())
    finally:
        connection.close()


def broker_with(partitions: int = 2, *topics: str) -> MemoryBroker:
    """A broker in memory, by the machine's clock, that has the topic `in` and others."""
    broker = MemoryBroker(clock=SystemClock())
    broker.admin().create([NewTopic(name=name, partitions=partitions) for name in ("in", *topics)])
    return broker


def feed(
    broker: MemoryBroker,
    *records: tuple[bytes, Any] | tuple[bytes, Any, int],
    topic: str = "in",
    partition: int = -1,
) -> None:
    """Write records: key, value, and event time in ms."""
    producer = broker.producer(ProducerSettings(client_id="feeder"))
    for key, value, *time in records:
        data = json.dumps(value).encode()
        producer.produce(topic, data, key, partition, timestamp=time[0] if time else 1_000)
    producer.close()


def worker_of(broker: MemoryBroker, folder: Path, *flows: str, **given: Any) -> Worker:
    settings = {"create_topics": True, "http": "127.0.0.1:0", "state_dir": folder, **given}
    return Worker(flows_of(*flows), broker=broker, **settings)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, asking in a thread."""
    async with asyncio.timeout(WAIT_S):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.02)


async def asked(worker: Worker, path: str, **given: str) -> Answered:
    return await asyncio.to_thread(lambda: get(worker.http_address, path, **given))


async def once(
    worker: Worker, path: str, is_so: Callable[[Answered], bool], **given: str
) -> Answered:
    """Ask until the answer is as expected: what was committed is in the store within a second or two."""
    found: list[Answered] = []

    def look() -> bool:
        found[:] = [get(worker.http_address, path, **given)]
        return is_so(found[0])

    await until(look)
    return found[0]
