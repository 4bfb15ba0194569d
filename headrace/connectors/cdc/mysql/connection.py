"""Connections to MariaDB and MySQL, and what their failures ask for."""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.runtime.errors import SettingsError

PORT: Final = 3306
ANSWER_S: Final = 60
_OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "unix_socket"})
_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1698, 3159})
_TEMPORARY = frozenset(
    {1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1290, 1317, 1927}
)
_GONE = frozenset({1146, 1049, 1054})  # a table, database or column that was dropped a moment ago
_USER = re.compile("user '.*?'@'.*?'")
GRANTS = (
    "the user needs REPLICATION SLAVE, REPLICATION CLIENT (BINLOG MONITOR) and SELECT on the tables"
)


def driver() -> Any:
    """The package PyMySQL.

    Raises:
        SettingsError: the extra is not installed.
    """
    try:
        import pymysql
        import pymysqlreplication
    except ImportError as error:
        raise SettingsError(
            f"MySQL and MariaDB need the extra 'mysql': pip install 'headrace[mysql]' ({error})"
        ) from None
    assert pymysqlreplication is not None
    return pymysql


def arguments(address: Address) -> dict[str, Any]:
    """The driver's arguments for an address; they hold the password.

    Raises:
        SettingsError: an option is not known.
    """
    unknown = sorted(address.options.keys() - _OPTIONS)
    if unknown:
        raise SettingsError(
            f"option '{unknown[0]}' of the connection is not known; there are {', '.join(sorted(_OPTIONS))}"
        )
    found: dict[str, Any] = {
        "host": address.host,
        "port": address.port or PORT,
        "user": address.user or "",
        "password": address.password or "",
        "connect_timeout": 10,
        "read_timeout": ANSWER_S,
        "charset": "utf8mb4",
        "program_name": "headrace",
    }
    if "unix_socket" in address.options:
        found["unix_socket"] = address.options["unix_socket"]
    context = _tls(address.options)
    if context is not None:
        found["ssl"] = context
    return found


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | None:
    """As libpq: `require` encrypts, `verify-ca` checks the server's certificate, `verify-full` its name too."""
    mode = options.get("sslmode", "disable")
    if mode == "disable":
        return None
    if mode not in ("require", "verify-ca", "verify-full"):
        raise SettingsError(
            f"option 'sslmode' is '{mode}'; it is disable, require, verify-ca or verify-full"
        )
    try:
        context = ssl.create_default_context(cafile=options.get("sslrootcert"))
        if "sslcert" in options:
            context.load_cert_chain(options["sslcert"], options.get("sslkey"))
    except OSError as error:
        raise SettingsError(
            f"the certificates of 'sslrootcert', 'sslcert' or 'sslkey' cannot be read: {error.strerror}"
        ) from error
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def failures(doing: str, address: Address) -> Iterator[None]:
    """Turn the driver's exceptions into what they ask for; `doing` completes "could not ..."."""
    pymysql = driver()
    try:
        yield
    except (pymysql.err.MySQLError, OSError, EOFError) as error:
        raise explained(doing, address, error) from error


def explained(doing: str, address: Address, error: BaseException) -> Exception:
    """The error that a driver's exception asks for."""
    pymysql = driver()
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = " ".join(str(error.args[-1] if error.args else error).split())
    message = _USER.sub("the user", message)  # its name may be a secret
    text = f"could not {doing} of {address}: {message or type(error).__name__}"
    if code in _DENIED:
        return CaptureError("access_denied", f"{text}; {GRANTS}")
    is_connection = isinstance(
        error, pymysql.err.OperationalError | pymysql.err.InterfaceError | OSError | EOFError
    )
    if (
        code in _TEMPORARY
        or code in _GONE
        or 2000 <= code < 3000
        or (is_connection and code < 1000)
    ):
        return DatabaseUnavailableError(text)
    return CaptureError("database_refused", text)


def refusal(error: BaseException) -> str:
    """Why the server refused a statement, without its rows; empty where another attempt may fare better."""
    from pymysql.constants import ER

    arguments: Any = getattr(error.__cause__, "args", ())
    code = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    if code < 1000 or 2000 <= code < 3000 or code in _TEMPORARY:
        return ""
    names = [name for name, value in vars(ER).items() if value == code]
    words = names[0].replace("_", " ").lower() if names else "error"
    return f"{words} ({code})" + (f": {arguments[-1]}" if code in _GONE else "")


class Sql:
    """A connection for statements, in autocommit mode unless they begin a transaction. Values come as text."""

    def __init__(self, address: Address) -> None:
        self._address = address
        with failures("connect to the database", address):
            self._client = driver().connect(
                **arguments(address),
                autocommit=True,
                conv={},
                init_command="SET SESSION time_zone = '+00:00'",
            )

    @property
    def version(self) -> str:
        return str(self._client.server_version)

    def __call__(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement; its rows. `%s` stands for a value where there are any."""
        with failures("ask the database", self._address), self._client.cursor() as cursor:
            cursor.execute(sql, tuple(map(str, values)) or None)
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, sql: str, *values: object) -> str | None:
        """The first value of the first row; None where there is no row."""
        found = self(sql, *values)
        return found[0][0] if found else None

    def parts(self, sql: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, at most `count` at a time, as the server sends them; none are kept here."""
        cursor = self._client.cursor(driver().cursors.SSCursor)
        with failures("read rows", self._address):
            cursor.execute(sql)
        while True:
            with failures("read rows", self._address):
                rows = cursor.fetchmany(count)
            if not rows:
                cursor.close()
                return
            yield rows

    def close(self) -> None:
        """May be called again. Does not wait for rows that were not read."""
        self._client._force_close()  # noqa: SLF001 # the driver's own way to let go without reading what is left


def quoted(*names: str) -> str:
    """Names as SQL, joined by dots."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)
