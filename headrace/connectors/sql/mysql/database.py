"""Connecting to MySQL and MariaDB."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from headrace.connectors.sql.database import Connection, Database
from headrace.connectors.sql.mysql.failures import failure_of
from headrace.connectors.sql.place import ConnectionPlace
from headrace.connectors.sql.threaded import opened
from headrace.runtime.errors import SettingsError

if TYPE_CHECKING:
    import pymysql


class Mysql(Database):
    """A MySQL or MariaDB server.

    Raises:
        SettingsError: PyMySQL is not installed, or a file of `tls` cannot be read.
    """

    def __init__(self, place: ConnectionPlace) -> None:
        try:
            import pymysql  # noqa: F401 # asked for early, so that a flow without it ends before its first record
        except ImportError:
            raise SettingsError(
                "MySQL and MariaDB need the extra 'sql': pip install 'headrace[sql]'"
            ) from None
        self._place = place
        self._tls = _tls_context(place)

    async def connect(self) -> Connection:
        import pymysql

        from headrace.connectors.sql.mysql.connection import MysqlConnection

        thread = ThreadPoolExecutor(1, "headrace-mysql")
        try:
            driver = await opened(thread, self._opened)
        except (pymysql.Error, OSError) as error:
            what = f"connecting to {self._place.address.shown}"
            raise failure_of(error, what) from error
        return MysqlConnection(self._place, thread, driver)

    def _opened(self) -> "pymysql.Connection[Any]":
        import pymysql

        place, address = self._place, self._place.address
        return pymysql.connect(
            host=address.host,
            port=address.port or 3306,
            unix_socket=address.options.get("unix_socket"),
            user=address.user,
            password=address.password or "",
            database=address.name,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=max(1, round(place.connect_timeout_s)),
            # Times are sent and read in UTC; strictness makes a value that does not fit an error.
            init_command="set time_zone = '+00:00', sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES')",
            ssl=self._tls,
            ssl_disabled=place.tls_mode == "disable",
        )


def _tls_context(place: ConnectionPlace) -> ssl.SSLContext | None:
    if place.tls_mode in (None, "disable", "prefer"):
        return None
    try:
        context = ssl.create_default_context(cafile=place.tls.get("ca"))
        if certificate := place.tls.get("certificate"):
            context.load_cert_chain(certificate, place.tls.get("key"))
    except (OSError, ssl.SSLError) as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SettingsError(f"tls: a file cannot be read as PEM: {reason}") from error
    context.check_hostname = place.tls_mode == "verify-full"
    if place.tls_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
