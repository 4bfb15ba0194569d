"""Connecting to PostgreSQL."""

from typing import Any

from headrace.connectors.sql.database import Connection, Database
from headrace.connectors.sql.place import ConnectionPlace
from headrace.connectors.sql.postgres.failures import failure_of
from headrace.runtime.errors import SettingsError


class Postgres(Database):
    """A PostgreSQL server, or one that speaks its protocol.

    Raises:
        SettingsError: psycopg is not installed.
    """

    def __init__(self, place: ConnectionPlace) -> None:
        try:
            import psycopg  # noqa: F401 # asked for early, so that a flow without it ends before its first record
        except ImportError as error:
            raise SettingsError(
                f"PostgreSQL needs the extra 'sql': pip install 'headrace[sql]' ({error})"
            ) from None
        self._place = place

    async def connect(self) -> Connection:
        import psycopg

        from headrace.connectors.sql.postgres.connection import PostgresConnection

        place = self._place
        try:
            connection = await psycopg.AsyncConnection.connect(
                **self._parameters(), autocommit=True
            )
        except psycopg.Error as error:
            raise failure_of(error, f"connecting to {place.address.shown}") from error
        return PostgresConnection(connection, place)

    def _parameters(self) -> dict[str, Any]:
        place, address = self._place, self._place.address
        given = {
            **address.options,
            "host": address.host,
            "port": address.port,
            "dbname": address.name,
            "user": address.user,
            "password": address.password,
            "connect_timeout": max(2, round(place.connect_timeout_s)),
            "application_name": address.options.get("application_name", "headrace"),
            "sslmode": place.tls_mode or address.options.get("sslmode"),
            "sslrootcert": place.tls.get("ca") or address.options.get("sslrootcert"),
            "sslcert": place.tls.get("certificate"),
            "sslkey": place.tls.get("key"),
        }
        return {name: value for name, value in given.items() if value is not None}
