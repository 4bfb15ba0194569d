"""Databases as tests see them: where they are, and what is in them."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from tests.cdc.mysql.server import PASSWORD, MariadbServer
from tests.cdc.postgres_server import PostgresServer


class Place(Protocol):
    """An empty database."""

    url: str
    blob: str
    """The type of bytes."""

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""

    def connected(self, *, end: bool = False) -> int:
        """How many connections others have; ended when wanted."""


class SqlitePlace:
    """A file."""

    blob = "blob"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as client:
            for statement in statements:
                found = client.execute(statement)
            return found.fetchall()

    def connected(self, *, end: bool = False) -> int:
        return 0


class PostgresPlace:
    """A database of its own on the session's server."""

    blob = "bytea"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = f"shop_{uuid.uuid4().hex[:8]}"
        server.execute("postgres", f"create database {self.name}")
        self.url = server.url(self.name)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        return list(self.server.execute(self.name, *statements))

    def connected(self, *, end: bool = False) -> int:
        what = "pg_terminate_backend(pid)" if end else "pid"
        others = f"datname = '{self.name}' and pid <> pg_backend_pid()"
        return len(self.sql(f"select {what} from pg_stat_activity where {others}"))


class MariadbPlace:
    """A database of its own on the session's server."""

    blob = "blob"

    def __init__(self, server: MariadbServer) -> None:
        self.server = server
        self.name = f"shop_{uuid.uuid4().hex[:8]}"
        server.sql(f"create database {self.name} character set utf8mb4")
        self.url = f"mariadb://reader:{PASSWORD}@127.0.0.1:{server.port}/{self.name}"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.sql(f"use {self.name}", *statements)

    def connected(self, *, end: bool = False) -> int:
        found = self.sql(
            f"select id from information_schema.processlist where db = '{self.name}' and id <> connection_id()"
        )
        if end:
            self.sql(*(f"kill {number}" for (number,) in found), "select 1")
        return len(found)
