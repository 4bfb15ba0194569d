"""What is in topics, and the table that it makes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from headrace.connectors.cdc.feed import NativeFeed
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Broker, TopicPartition
from tests.cdc.mysql.server import PASSWORD, MariadbServer
from tests.cdc.places import WAIT_S, Running, config_of, run

PREFIX = "copy"


@dataclass
class Found:
    """One record."""

    topic: str
    partition: int
    key: Any
    value: Any
    timestamp_ms: int
    headers: list[tuple[str, bytes | None]]

    @property
    def op(self) -> str:
        return "tombstone" if self.value is None else str(self.value["op"])


def records(broker: Broker, topic: str) -> list[Found]:
    """Every committed record of a topic, partition by partition."""
    admin, reader = broker.admin(), broker.reader("test", {})
    try:
        count = admin.topics().get(topic, 0)
        partitions = [TopicPartition(topic, number) for number in range(count)]
        ends = admin.ends(partitions)
        reader.assign(admin.offsets(partitions, "earliest"))
        found: list[Found] = []
        while any(reader.positions().get(one, 0) < end for one, end in ends.items()):
            found += [
                Found(
                    one.topic(),
                    one.partition(),
                    _parsed(one.key()),
                    _parsed(one.value()),
                    one.timestamp()[1],
                    one.headers() or [],
                )
                for one in reader.read(10_000, 0.2)
            ]
        return found
    finally:
        reader.close()
        admin.close()


def _parsed(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode()


def wait_for(
    broker: Broker, topic: str, wanted: Callable[[list[Found]], bool], running: Running
) -> list[Found]:
    """The records of a topic once they are as wanted."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + WAIT_S
    while True:
        found = records(broker, topic)
        if wanted(found):
            return found
        assert not running.reports.errors, running.reports.errors
        assert clock.monotonic_s() < until_s, f"{len(found)} records: {found[-5:]}"
        clock.sleep(0.05)


def copy_of(found: list[Found]) -> dict[str, Mapping[str, Any]]:
    """The table that the records of a topic make, row by key."""
    rows: dict[str, Mapping[str, Any]] = {}
    for one in found:
        if one.value is None:
            continue
        if one.op == "t":
            rows.clear()
        elif one.op == "d":
            rows.pop(str(one.key), None)
        else:
            rows[str(one.key)] = one.value["after"]
    return rows


@dataclass
class Capture:
    """A feed of one server into a broker."""

    server: MariadbServer
    broker: Broker
    fields: dict[str, Any]

    def run(self) -> Running:
        url = self.server.url.replace(PASSWORD, "${secret.PASSWORD}")
        config = config_of(**{"url": url, **self.fields})
        return run(NativeFeed(config, PREFIX), broker=self.broker, secrets={"PASSWORD": PASSWORD})


def capture(server: MariadbServer, broker: Broker | None = None, **fields: Any) -> Capture:
    return Capture(server, broker or MemoryBroker(clock=SystemClock()), fields)
