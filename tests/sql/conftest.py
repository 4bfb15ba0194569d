"""One suite for every database: SQLite in a file, PostgreSQL and MariaDB as processes of the test session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cdc.mysql.server import MariadbServer
from tests.cdc.postgres_server import PostgresServer
from tests.sql.places import MariadbPlace, Place, PostgresPlace, SqlitePlace


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    server = MariadbServer(tmp_path_factory.mktemp("db"))
    server.install()
    server.sql("GRANT ALL ON *.* TO reader@'127.0.0.1'")
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresPlace:
    return PostgresPlace(postgres_server)


@pytest.fixture
def mariadb(mariadb_server: MariadbServer) -> MariadbPlace:
    return MariadbPlace(mariadb_server)


@pytest.fixture
def sqlite(tmp_path: Path) -> SqlitePlace:
    return SqlitePlace(tmp_path / "shop.db")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the databases in turn, empty."""
    found: Place = request.getfixturevalue(request.param)
    return found
