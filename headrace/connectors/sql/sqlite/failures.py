"""What SQLite's errors mean."""

import sqlite3
from typing import Final

from headrace.connectors.sql.database import SqlFailedError

_TEMPORARY: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
)


def failure_of(error: Exception, what: str) -> SqlFailedError:
    """What an error means. Its own words may name the record's values, so they become a note."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = None if code is None else code & 0xFF
    # Without a code, the driver itself refuses a value, such as a number of more than 64 bits.
    is_of_record = code is None or isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
    failure = SqlFailedError(
        f"{what} was refused: {name.removeprefix('SQLITE_').replace('_', ' ').lower()}{_place(error, primary)}",
        is_temporary=primary in _TEMPORARY,
        status=name,
        is_of_record=is_of_record and primary not in _TEMPORARY,
    )
    failure.add_note(f"{failure}: {error}")
    return failure


def _place(error: Exception, primary: int | None) -> str:
    """Names of tables and columns; SQLite puts no values into these messages."""
    if primary in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR):
        return f": {error}"
    return ""
