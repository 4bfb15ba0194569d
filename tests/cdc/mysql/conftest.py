"""A MariaDB for the session, and one of a test's own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cdc.mysql.server import MariadbServer


@pytest.fixture(scope="session")
def session_server() -> Iterator[MariadbServer]:
    # A socket's path has room for a hundred signs only: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        server = MariadbServer(Path(folder))
        server.install()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def mariadb(session_server: MariadbServer) -> MariadbServer:
    """The session's server with an empty database `shop`."""
    session_server.sql("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    return session_server


@pytest.fixture
def own_mariadb() -> Iterator[MariadbServer]:
    """A server to kill, to reset and to set up wrongly."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        server = MariadbServer(Path(folder))
        server.install()
        try:
            yield server
        finally:
            server.stop()
