"""The process that captures is killed at any moment, and nothing is lost, doubled or out of order."""

import json
import random
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import pytest

from headrace.connectors.cdc.postgres.source import slot_name
from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.conftest import Database
from tests.cdc.load import TABLE, Load, as_rows, assert_exactly_once, table
from tests.cdc.running import Change, feed_of, make_topics, read_changes, replayed

pytestmark = pytest.mark.kafka

KILLS = 4


@contextmanager
def victim(brokers: str, name: str, config: Mapping[str, Any]) -> "Iterator[IO[str]]":
    """A process that captures, killed in the end; yields what it prints."""
    command = [sys.executable, "-m", "tests.cdc.victim", brokers, name, json.dumps(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.send_signal(signal.SIGKILL)


def until(lines: "IO[str]", state: str) -> None:
    for line in lines:
        if line.startswith(state):
            return
    raise AssertionError(f"it ended before it was {state}")


def settled(
    brokers: str, name: str, topic: str, config: Mapping[str, Any], shop: Database
) -> list[Change]:
    """The records of the topic when everything was captured."""
    with victim(brokers, name, config) as lines:
        until(lines, "running")
        shop.wait_until_confirmed(slot_name(name))
    return read_changes(KafkaBroker(brokers), topic)


@pytest.mark.parametrize("batch_rows", [100, 5000])
def test_killed_under_load_the_topic_equals_the_table_and_nothing_comes_twice(
    shop: Database, kafka_brokers: str, batch_rows: int
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 2000)")
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    name = f"headrace.{prefix}"
    config = dict(
        shop.config(tables=["orders"], topic_prefix=prefix, batch_rows=batch_rows, partitions=3)
    )
    make_topics(feed_of(config), KafkaBroker(kafka_brokers))
    chance, clock = random.Random(batch_rows), SystemClock()

    with Load(shop.server.url(shop.name), batch_rows) as load:
        for _ in range(KILLS):
            with victim(kafka_brokers, name, config) as lines:
                until(lines, "running")
                clock.sleep(chance.uniform(0.2, 1.2))
    changes = settled(kafka_brokers, name, f"{prefix}.public.orders", config, shop)

    assert load.transactions > 50
    assert as_rows(replayed(changes)) == table(shop)
    assert_exactly_once(changes)


def test_killed_within_the_snapshot_it_goes_on_where_it_was(
    shop: Database, kafka_brokers: str
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 20000)")
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    name = f"headrace.{prefix}"
    config = dict(
        shop.config(tables=["orders"], topic_prefix=prefix, snapshot_rows=500, partitions=3)
    )
    make_topics(feed_of(config), KafkaBroker(kafka_brokers))

    with Load(shop.server.url(shop.name), 7):
        for _ in range(4):
            with victim(kafka_brokers, name, config) as lines:
                until(lines, "snapshot")
    changes = settled(kafka_brokers, name, f"{prefix}.public.orders", config, shop)

    assert as_rows(replayed(changes)) == table(shop)
    assert_exactly_once(changes)
    read = Counter(str(one.key) for one in changes if one.op == "r")
    assert max(read.values()) == 1
