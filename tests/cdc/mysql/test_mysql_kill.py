"""The process that captures is killed at any moment, and nothing is lost, doubled or out of order."""

import random
import uuid
from collections import Counter
from threading import Event, Thread
from typing import Any

import pymysql
import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.mysql.server import MariadbServer
from tests.cdc.running import Change, feed_of, make_topics, read_changes, replayed
from tests.cdc.test_postgres_kill import until, victim

pytestmark = pytest.mark.kafka

KILLS = 5
TABLE = """
CREATE TABLE orders (id bigint PRIMARY KEY AUTO_INCREMENT, customer text, amount decimal(10, 2), n int NOT NULL DEFAULT 0,
  code varchar(20), at datetime(6) DEFAULT now(6))
"""


class Load:
    """Writes in all ways: small and large transactions, rollbacks, keys that change, deletes, and columns that come and go."""

    def __init__(self, server: MariadbServer, seed: int) -> None:
        self._client = server.connect(database="shop")
        self._random = random.Random(seed)
        self._stopped = Event()
        self.transactions = 0
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self._client.cursor() as cursor:
            while not self._stopped.is_set():
                try:
                    self._write(cursor.execute)
                except (pymysql.err.IntegrityError, pymysql.err.OperationalError):
                    cursor.execute("ROLLBACK")  # a key that is taken, a lock that came too late
                self.transactions += 1

    def _write(self, execute: Any) -> None:
        choice = self._random.random()
        execute("BEGIN")
        if choice < 0.3:
            execute("INSERT INTO orders (customer, amount) VALUES ('one', 1.5)")
        elif choice < 0.5:
            count = self._random.choice((10, 100, 1000, 2500))
            execute(
                f"INSERT INTO orders (customer, amount) SELECT 'many', seq FROM seq_1_to_{count}"
            )
        elif choice < 0.75:
            execute("UPDATE orders SET n = n + 1 ORDER BY rand() LIMIT 50")
            execute("UPDATE orders SET customer = 'twice' ORDER BY rand() LIMIT 20")
        elif choice < 0.83:
            execute(
                "UPDATE orders SET id = id + 10000000 WHERE id < 10000000 ORDER BY rand() LIMIT 5"
            )
        elif choice < 0.93:
            execute("DELETE FROM orders ORDER BY rand() LIMIT 40")
        elif choice < 0.97:
            execute("INSERT INTO orders (customer) SELECT 'never' FROM seq_1_to_500")
            execute("ROLLBACK")
        else:
            length = self._random.randint(10, 40)
            execute(f"ALTER TABLE orders MODIFY code varchar({length})")
        execute("COMMIT")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()


def settled(
    brokers: str, name: str, topic: str, config: dict[str, Any], server: MariadbServer
) -> list[Change]:
    """The records of the topic when everything was captured."""
    server.sql("USE shop", "INSERT INTO orders (id, customer) VALUES (-1, 'the last one')")
    broker, clock = KafkaBroker(brokers), SystemClock()
    with victim(brokers, name, config) as lines:
        until(lines, "running")
        for _ in range(200):
            found = read_changes(broker, topic)
            if any(one.key == {"id": -1} for one in found):
                return found
            clock.sleep(0.2)
    raise AssertionError("the last row did not come")


def table(server: MariadbServer) -> dict[str, Any]:
    return {
        str({"id": id_}): (id_, customer, None if amount is None else f"{amount:.2f}", n)
        for id_, customer, amount, n in server.sql(
            "SELECT id, customer, amount, n FROM shop.orders"
        )
    }


def as_rows(rows: dict[str, Any]) -> dict[str, Any]:
    return {key: (row["id"], row["customer"], row["amount"], row["n"]) for key, row in rows.items()}


def assert_exactly_once(changes: list[Change]) -> None:
    counted = Counter(
        (one.op, str(one.key), one.value["source"]["gtid"], one.value["source"]["index"])
        for one in changes
        if one.value is not None and one.op != "r"
    )
    assert [one for one, count in counted.items() if count > 1] == []
    last: dict[str, tuple[int, int]] = {}
    for one in changes:
        if one.value is None or one.op == "r":
            continue
        source = one.value["source"]
        at = (int(source["gtid"].rpartition("-")[2]), source["index"])
        assert at > last.get(str(one.key), (-1, -1)), f"{one.key} is out of order"
        last[str(one.key)] = at


@pytest.mark.parametrize("batch_rows", [100, 5000])
def test_killed_under_load_the_topic_equals_the_table_and_nothing_comes_twice(
    mariadb: MariadbServer, kafka_brokers: str, batch_rows: int
) -> None:
    rows = "INSERT INTO orders (customer) SELECT 'old' FROM seq_1_to_2000"
    mariadb.sql("USE shop", TABLE, rows)
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    name = f"headrace.{prefix}"
    config = {
        "url": mariadb.url,
        "tables": ["shop.orders"],
        "topic_prefix": prefix,
        "batch_rows": batch_rows,
        "partitions": 3,
    }
    make_topics(feed_of(config), KafkaBroker(kafka_brokers))
    chance, clock = random.Random(batch_rows), SystemClock()

    with Load(mariadb, batch_rows) as load:
        for _ in range(KILLS):
            with victim(kafka_brokers, name, config) as lines:
                until(lines, "running")
                clock.sleep(chance.uniform(0.2, 1.2))
    changes = settled(kafka_brokers, name, f"{prefix}.shop.orders", config, mariadb)

    assert load.transactions > 50
    assert as_rows(replayed(changes)) == table(mariadb)
    assert_exactly_once(changes)


def test_killed_within_the_snapshot_it_goes_on_where_it_was(
    mariadb: MariadbServer, kafka_brokers: str
) -> None:
    rows = "INSERT INTO orders (customer) SELECT 'old' FROM seq_1_to_20000"
    mariadb.sql("USE shop", TABLE, rows)
    prefix = f"cdc-{uuid.uuid4().hex[:8]}"
    name = f"headrace.{prefix}"
    config = {
        "url": mariadb.url,
        "tables": ["shop.orders"],
        "topic_prefix": prefix,
        "snapshot_rows": 500,
        "partitions": 3,
    }
    make_topics(feed_of(config), KafkaBroker(kafka_brokers))

    with Load(mariadb, 7):
        for _ in range(4):
            with victim(kafka_brokers, name, config) as lines:
                until(lines, "snapshot")
    changes = settled(kafka_brokers, name, f"{prefix}.shop.orders", config, mariadb)

    assert as_rows(replayed(changes)) == table(mariadb)
    assert_exactly_once(changes)
    read = Counter(str(one.key) for one in changes if one.op == "r")
    assert max(read.values()) == 1
