"""What PostgreSQL's errors mean: by their SQLSTATE."""

from typing import TYPE_CHECKING, Final

from headrace.connectors.sql.database import SqlFailedError

if TYPE_CHECKING:
    import psycopg

_TEMPORARY: Final = ("08", "40", "53", "57", "58", "55P03", "25006", "25P03")
"""Connection, serialization and deadlock, resources, intervention, system; a lock; a server that became a standby."""
_REFUSALS: Final = (
    ("password authentication failed", "the server does not accept user and password"),
    ("no password supplied", "the server asks for a password; see `password`"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf does not let this user in from here"),
    ("does not exist", "the server has no such user or database"),
    ("not permitted to log in", "this user may not log in"),
    ("too many", "the server has too many connections"),
    ("starting up", "the server is starting up"),
    ("shutting down", "the server is shutting down"),
    ("does not support SSL", "the server does not support TLS; see `tls`"),
    ("certificate verify failed", "the server's certificate is not trusted; see `tls.ca`"),
    ("does not match host name", "the server's certificate is of another host; see `tls.mode`"),
    ("FATAL:", "the server refused the connection"),
)
"""While connecting there is only libpq's text, which names users and databases, and these may be secrets."""
_OF_STATEMENT: Final = ("42", "28", "3D", "3F", "0A", "26", "34")
"""These say that the statement or the login is wrong, so that no other record would fare better."""


def failure_of(error: "psycopg.Error", what: str) -> SqlFailedError:
    """What an error means. Its own words may quote the record, so they become a note."""
    import psycopg

    state = error.sqlstate
    if state is None and isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        # The driver itself refuses a value, such as text with a zero byte.
        failure = SqlFailedError(
            f"{what}: a value cannot be sent to PostgreSQL",
            is_temporary=False,
            status=None,
            is_of_record=True,
        )
    elif state is None:
        failure = SqlFailedError(
            f"{what}: no connection; {_refusal(str(error))}",
            is_temporary=True,
            status=None,
            is_of_record=False,
        )
    else:
        is_temporary = state.startswith(_TEMPORARY)
        failure = SqlFailedError(
            f"{what} was refused: {_phrase(error)} ({state}){_place(error)}",
            is_temporary=is_temporary,
            status=state,
            is_of_record=not is_temporary and not state.startswith(_OF_STATEMENT),
        )
    failure.add_note(f"{failure}: {error}")
    return failure


def _refusal(text: str) -> str:
    for part, reason in _REFUSALS:
        if part in text:
            return reason
    return "the server cannot be reached, or the connection broke"


def _phrase(error: "psycopg.Error") -> str:
    """`unique violation` of `UniqueViolation`."""
    name = type(error).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _place(error: "psycopg.Error") -> str:
    diagnosis = error.diag
    named = [
        f"{what} '{name}'"
        for what, name in (
            ("constraint", diagnosis.constraint_name),
            ("column", diagnosis.column_name),
            ("table", diagnosis.table_name),
        )
        if name
    ]
    if not named and error.sqlstate and error.sqlstate.startswith("42"):
        return f": {diagnosis.message_primary}"  # names of tables and columns, no values
    return f", {', '.join(named)}" if named else ""
