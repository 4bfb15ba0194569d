"""A table that a flow copies to another database stays equal to its source, whatever dies."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from headrace.connectors.local_kafka import LocalKafka
from tests.cdc.postgres_server import PostgresServer
from tests.forgotten_markers import unless_kafka_forgets

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

WAIT_S = 180.0
ROWS = 5_000
COLUMNS = "id integer primary key, customer text, amount numeric(10, 2), at timestamptz, note text"
FLOW = """
name: copy{number}
stages:
  - name: changes
    action: cdc
    config:
      url: {source}
      tables: public.orders
      retry_pause_max: 1s
    out: orders
  - name: orders
    action: sql
    config: {{database: '{target}', table: public.orders}}
    retry: {{attempts: 1000, backoff: 200ms}}
"""


class Writer:
    """Changes a table as applications do: several rows in a transaction, some of them rolled back, keys that change."""

    def __init__(self, server: PostgresServer, database: str, number: int) -> None:
        self.changes = 0
        self._server = server
        self._database = database
        self._number = number
        self._chance = random.Random(number)
        self._stopped = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._server.url(self._database)) as client:
                    while not self._stopped.is_set():
                        self._transaction(client)
                        self._stopped.wait(0.01)
            except psycopg.Error:
                self._stopped.wait(0.1)  # the server is away

    def _transaction(self, client: "psycopg.Connection[Any]") -> None:
        chance = self._chance
        for _ in range(chance.randrange(1, 12)):
            # Every writer has numbers of its own, so that none waits for another.
            number = chance.randrange(ROWS) * 2 + self._number
            kind = chance.random()
            if kind < 0.4:
                client.execute(
                    "insert into orders values (%s, %s, %s, now(), %s) on conflict (id) do nothing",
                    (number, f"c{number % 9}", number / 7, "x" * chance.randrange(3_000)),
                )
            elif kind < 0.8:
                client.execute(
                    "update orders set amount = amount + 1, customer = %s where id = %s",
                    (f"u{self.changes}", number),
                )
            elif kind < 0.95:
                client.execute("delete from orders where id = %s", (number,))
            else:
                client.execute(
                    "update orders set id = %s where id = %s and not exists (select from orders where id = %s)",
                    (number + 2 * ROWS, number, number + 2 * ROWS),
                )
            self.changes += 1
        if chance.random() < 0.1:
            client.rollback()
        else:
            client.commit()


@contextmanager
def worker(folder: Path, brokers: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(folder / "state"),
        "HEADRACE_BROKERS": brokers,
        "HEADRACE_SESSION_TIMEOUT": "6s",
    }
    words = ["run", "flow.yaml", "--log-level", "warning"]
    started = subprocess.Popen(
        [sys.executable, "-m", "headrace", *words], cwd=folder, env=environment
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()


def rows(server: PostgresServer, database: str) -> list[tuple[Any, ...]]:
    return list(server.execute(database, "select * from orders order by id"))


def test_a_copied_table_is_equal_after_kills_of_the_worker_the_database_and_the_broker(
    own_kafka: LocalKafka, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    def attempt(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        copy_through_kills(own_kafka, own_postgres, folder, number)

    unless_kafka_forgets(own_kafka, attempt)


def copy_through_kills(
    kafka: LocalKafka, server: PostgresServer, folder: Path, number: int
) -> None:
    shop, copied = f"shop{number}", f"copied{number}"
    server.execute("postgres", f"create database {shop}", f"create database {copied}")
    server.execute(shop, f"create table orders ({COLUMNS})")
    server.execute(copied, f"create table orders ({COLUMNS})")
    server.execute(
        shop,
        f"insert into orders select n, 'c', n, now(), 'n' from generate_series(0, {ROWS}) n",
    )
    text = FLOW.format(number=number, source=server.url(shop), target=server.url(copied))
    (folder / "flow.yaml").write_text(text)
    writers = [Writer(server, shop, number) for number in range(2)]

    try:
        for kill in ("worker", "database", "worker", "broker", "worker"):
            with worker(folder, kafka.brokers):
                before = sum(one.changes for one in writers)
                deadline = time.monotonic() + WAIT_S
                while len(rows(server, copied)) < ROWS // 2 or (
                    sum(one.changes for one in writers) < before + 2_000
                ):
                    assert time.monotonic() < deadline, "the copy does not grow"
                    time.sleep(0.2)
                if kill == "database":
                    server.stop("immediate")
                    server.start()
                elif kill == "broker":
                    kafka.kill()
                    kafka.restart()
                time.sleep(1)  # some time after it, the worker is killed in any case
    finally:
        for one in writers:
            one.stop()
    with worker(folder, kafka.brokers):
        deadline = time.monotonic() + WAIT_S
        while rows(server, copied) != rows(server, shop) and time.monotonic() < deadline:
            time.sleep(0.5)

    assert rows(server, copied) == rows(server, shop)
    assert sum(one.changes for one in writers) > 10_000
