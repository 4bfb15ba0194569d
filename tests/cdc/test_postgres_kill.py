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
from threading import Event, Thread
from typing import IO, Any

import psycopg
import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.conftest import Database
from tests.cdc.running import Change, feed_of, make_topics, read_changes, replayed

pytestmark = pytest.mark.kafka

KILLS = 5
TABLE = """
create table orders (id bigserial primary key, customer text, amount numeric(10, 2), n int not null default 0,
  at timestamptz default now())
"""


class Load:
    """Writes in all ways: small and large transactions, COPY, rollbacks, keys that change, deletes."""

    def __init__(self, url: str, seed: int) -> None:
        self._client = psycopg.connect(url)
        self._random = random.Random(seed)
        self._stopped = Event()
        self.transactions = 0
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._write()
            except psycopg.errors.UniqueViolation:
                self._client.rollback()
            self.transactions += 1

    def _write(self) -> None:
        choice = self._random.random()
        execute = self._client.execute
        if choice < 0.3:
            execute("insert into orders (customer, amount) values ('one', 1.5)")
        elif choice < 0.5:
            count = self._random.choice((10, 100, 1000, 2500))
            execute(
                "insert into orders (customer, amount) select 'many', i from generate_series(1, %s) i",
                [count],
            )
        elif choice < 0.6:
            with (
                self._client.cursor() as cursor,
                cursor.copy("copy orders (customer, amount) from stdin") as copy,
            ):
                for i in range(1200):
                    copy.write_row(("copied", i))
        elif choice < 0.8:
            execute(
                "update orders set n = n + 1 where id in (select id from orders order by random() limit 50)"
            )
        elif choice < 0.87:
            execute(
                "update orders set id = id + 10000000 where id in"
                " (select id from orders where id < 10000000 order by random() limit 5)"
            )
        elif choice < 0.95:
            execute(
                "delete from orders where id in (select id from orders order by random() limit 40)"
            )
        else:
            execute("insert into orders (customer) select 'never' from generate_series(1, 500)")
            self._client.rollback()
            return
        self._client.commit()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()


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
    shop.execute("insert into orders (id, customer) values (-1, 'the last one')")
    broker, clock = KafkaBroker(brokers), SystemClock()
    with victim(brokers, name, config) as lines:
        until(lines, "running")
        for _ in range(200):
            found = read_changes(broker, topic)
            if any(one.key == {"id": -1} for one in found):
                return found
            clock.sleep(0.2)
    raise AssertionError("the last row did not come")


def table(shop: Database) -> dict[str, Any]:
    return {
        str({"id": id_}): (id_, customer, None if amount is None else f"{amount:.2f}", n)
        for id_, customer, amount, n in shop.execute("select id, customer, amount, n from orders")
    }


def as_rows(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {key: (row["id"], row["customer"], row["amount"], row["n"]) for key, row in rows.items()}


def assert_exactly_once(changes: list[Change]) -> None:
    counted = Counter(
        (one.op, str(one.key), one.value["source"]["lsn"], one.value["source"]["index"])
        for one in changes
        if one.value is not None
    )
    assert [one for one, count in counted.items() if count > 1] == []
    last: dict[str, tuple[int, int]] = {}
    for one in changes:
        if one.value is None or one.op == "r":
            continue
        source = one.value["source"]
        at = (source["commit_lsn"], source["index"])
        assert at > last.get(str(one.key), (-1, -1)), f"{one.key} is out of order"
        last[str(one.key)] = at


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
