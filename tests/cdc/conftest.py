"""A PostgreSQL for the session, and a database of each test's own."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Broker
from tests.cdc.postgres_server import PostgresServer
from tests.cdc.running import Running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole session."""
    yield from _server()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, to stop and restart."""
    yield from _server()


def _server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


class Database:
    """A database, the captures of it, and the broker in memory that they write to."""

    def __init__(self, server: PostgresServer, stack: ExitStack) -> None:
        self.server = server
        self.name = f"shop_{uuid.uuid4().hex[:8]}"
        self.broker: Broker = MemoryBroker(clock=SystemClock())
        self.place = f"headrace.{self.name}.changes"
        self._stack = stack
        server.execute("postgres", f"create database {self.name}")

    @property
    def slot(self) -> str:
        return self.place.replace(".", "_")

    def execute(self, *statements: str) -> Sequence[tuple[Any, ...]]:
        return self.server.execute(self.name, *statements)

    def config(self, **config: Any) -> Mapping[str, Any]:
        return {"url": self.server.url(self.name), "retry_pause_max": "500ms", **config}

    def capture(self, **config: Any) -> Running:
        """A capture that ends with the test."""
        running = Running(self.config(**config), self.broker, self.place)
        self._stack.callback(running.stop)
        return running

    def wait_until_confirmed(self, slot: str, seconds: float = 60) -> None:
        """Wait until everything that was written so far is committed to Kafka, and the database knows it."""
        clock = SystemClock()
        end = self.execute("select pg_current_wal_insert_lsn()::text")[0][0]
        # A commit, so that what was written is flushed.
        self.execute("select pg_logical_emit_message(true, 'test', 'end')")
        sql = f"select confirmed_flush_lsn >= '{end}' from pg_replication_slots where slot_name = '{slot}'"
        deadline_s = clock.monotonic_s() + seconds
        while self.execute(sql) != [(True,)]:
            assert clock.monotonic_s() < deadline_s, f"{slot} does not come to {end}"
            clock.sleep(0.05)

    def _free(self, slot: str) -> None:
        """End who reads from a slot; a server that is busy needs a while to notice."""
        clock = SystemClock()
        sql = (
            "select pg_terminate_backend(active_pid) from pg_replication_slots"
            f" where active_pid is not null and slot_name = '{slot}'"
        )
        deadline_s = clock.monotonic_s() + 60
        while self.server.execute("postgres", sql):
            assert clock.monotonic_s() < deadline_s, f"{slot} is still being read"
            clock.sleep(0.05)

    def drop(self) -> None:
        for (slot,) in self.server.execute(
            "postgres",
            f"select slot_name from pg_replication_slots where database = '{self.name}'",
        ):
            self._free(slot)
            self.server.execute("postgres", f"select pg_drop_replication_slot('{slot}')")
        self.server.execute("postgres", f"drop database {self.name} with (force)")


@pytest.fixture
def shop(postgres: PostgresServer) -> Iterator[Database]:
    """An empty database."""
    with ExitStack() as stack:
        database = Database(postgres, stack)
        stack.callback(database.drop)
        yield database
