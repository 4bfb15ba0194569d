"""Connections to PostgreSQL, and what their failures ask for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.runtime.errors import SettingsError

if TYPE_CHECKING:
    import psycopg

_SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex"
    " -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=30000"
)
"""The text of values is the same whatever the database's defaults are."""
_USER = re.compile('(user|role) "[^"]*"')
_REFUSED = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "authentication failed",
    "no password supplied",
    "does not exist",
    "not permitted to log in",
)
_ACCESS = frozenset({"28P01", "28000", "42501", "3D000"})
_GONE = frozenset({"42P01", "42703", "3F000"})  # a table, column or schema that was dropped
_TEMPORARY = frozenset(
    {"08", "53", "57", "58", "40", "55", "XX"}
)  # XX: a table goes while it is looked at


def driver() -> Any:
    """The package psycopg.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise SettingsError(
            "PostgreSQL needs the extra 'cdc': pip install 'headrace[cdc]' (and psycopg[binary], or libpq on this machine:"
            f" {error})"
        ) from None
    return psycopg


def conninfo(address: Address, application: str) -> str:
    """Libpq's text for an address; holds the password."""
    found: dict[str, Any] = {
        "host": address.host or None,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "dbname": address.dbname,
        "application_name": application,
        "client_encoding": "UTF8",
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "tcp_user_timeout": 30_000,
        **address.options,
    }
    found["options"] = f"{_SESSION} {found.get('options') or ''}".strip()
    try:
        return str(driver().conninfo.make_conninfo("", **found))
    except driver().ProgrammingError as error:
        raise SettingsError(f"an option of the connection to {address} is wrong: {error}") from None


@contextmanager
def failures(doing: str, address: Address) -> Iterator[None]:
    """Turn the driver's exceptions into what they ask for; `doing` completes "could not ..."."""
    psycopg = driver()
    try:
        yield
    except psycopg.Error as error:
        raise _explained(doing, address, error) from error


def _explained(doing: str, address: Address, error: Any) -> Exception:
    state: str = error.sqlstate or ""
    message = _without_user(" ".join(str(error).split()), address.user)
    text = f"could not {doing} of {address}: {message}"
    if state in _ACCESS or (not state and any(reason in message for reason in _REFUSED)):
        needs = "; the user needs LOGIN and REPLICATION, CONNECT on the database and SELECT on the tables"
        return CaptureError("access_denied", text + needs)
    if state in _GONE or not state or state[:2] in _TEMPORARY:
        return DatabaseUnavailableError(text)
    return CaptureError("database_refused", text)


def refusal(error: BaseException) -> str:
    """Why the server refused a statement, without its rows; empty where another attempt may fare better."""
    cause: Any = error.__cause__
    state: str = getattr(cause, "sqlstate", None) or ""
    if not state or state[:2] in _TEMPORARY:
        return ""
    words = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in type(cause).__name__)
    names = f": {cause.diag.message_primary}" if state.startswith("42") else ""
    return f"{words.strip()} ({state}){names}"


def _without_user(message: str, user: str | None) -> str:
    """A message of the server without its user's name, which may be a secret; first as we know it: it may hold quotes."""
    return _USER.sub(r"the \1", message.replace(f'"{user}"', '""') if user else message)


class Sql:
    """A connection for statements, in autocommit mode unless they begin a transaction."""

    def __init__(self, address: Address, application: str) -> None:
        self._address = address
        with failures("connect to the database", address):
            self.client: psycopg.Connection[Any] = driver().connect(
                conninfo(address, application), autocommit=True
            )

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; its rows. `%s` stands for a value where there are any."""
        with failures("ask the database", self._address):
            found = self.client.execute(statement, values or None)
            return found.fetchall() if found.description is not None else []

    def one(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        found = self.rows(statement, values)
        return found[0] if found else None

    def value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row, which there is."""
        return self.rows(statement, values)[0][0]

    def copy(self, statement: str) -> Iterator[bytes]:
        """The lines of a `COPY ... TO STDOUT`; the statement ends when the iterator is closed."""
        raw = self.client.pgconn
        psycopg = driver()
        with failures("read rows", self._address):
            started = raw.exec_(statement.encode())
            if started.status != psycopg.pq.ExecStatus.COPY_OUT:
                raise psycopg.errors.error_from_result(started)
            read = raw.get_copy_data
            while True:
                size, line = read(0)
                if size < 0:
                    break
                yield bytes(line)
            failed = None
            while result := raw.get_result():  # to the end: the connection may be used again
                if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
                    failed = failed or result
            if failed is not None:
                raise psycopg.errors.error_from_result(failed)

    def close(self) -> None:
        self.client.close()


def quoted(*names: str) -> str:
    """Names as SQL, joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(value: str) -> str:
    """Text as an SQL literal, whatever `standard_conforming_strings` says."""
    doubled = value.replace("'", "''")
    return f" E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in value else f"'{doubled}'"
