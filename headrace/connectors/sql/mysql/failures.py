"""What errors of MySQL and MariaDB mean: by their number."""

from typing import Final

from headrace.connectors.sql.database import SqlFailedError

LOST: Final = frozenset(
    {2003, 2006, 2013, 1053, 1077, 1079, 1158, 1159, 1160, 1161, 1927, 2002, 2055}
)
"""There is no connection, or no more."""
_TEMPORARY: Final = LOST | {
    1040,
    1203,
    1205,
    1213,
    1226,
    1290,
    1317,
    1836,
    3024,
    1020,
    1021,
    1114,
    1180,
}
"""Too many connections, locks, deadlocks, a server that became read-only, an interrupted statement, a full disk."""
_OF_STATEMENT: Final = frozenset(
    {
        1046,
        1049,
        1051,
        1054,
        1064,
        1065,
        1102,
        1103,
        1142,
        1143,
        1146,
        1149,
        1227,
        1251,
    }
)
"""The statement is wrong, so that no other record would fare better."""
_LOGIN: Final = {
    1044: "this user may not enter the database",
    1045: "the server does not accept user and password",
    1698: "the server does not accept user and password",
}
"""Temporary, since a password that was changed on one side is soon changed on the other. Their own words hold the user, who may
be a secret."""
_UNTOLD: Final = frozenset({1064})
"""Its words hold a part of the statement."""


def failure_of(error: Exception, what: str) -> SqlFailedError:
    """What an error means. Its own words may quote the record, so they become a note."""
    import pymysql

    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if isinstance(error, pymysql.err.InterfaceError) or number == 0:
        number = 2013
    if number in LOST:
        text = f"{what}: no connection; the server cannot be reached, or the connection broke"
    elif number in _LOGIN:
        text = f"{what}: no connection; {_LOGIN[number]}"
    else:
        text = f"{what} was refused: {_phrase(number, error)}"
    is_temporary = number in _TEMPORARY or number in _LOGIN or isinstance(error, OSError)
    failure = SqlFailedError(
        text,
        is_temporary=is_temporary,
        status=number,
        is_of_record=not is_temporary and number not in _OF_STATEMENT,
    )
    failure.add_note(f"{failure}: {error}")
    return failure


def _phrase(number: int | None, error: Exception) -> str:
    from pymysql.constants import ER

    names = [
        name for name, value in vars(ER).items() if value == number and not name.startswith("_")
    ]
    phrase = (names[0] if names else type(error).__name__).replace("_", " ").lower()
    detail = (
        f": {error.args[1]}"
        if number in _OF_STATEMENT and len(error.args) > 1 and number not in _UNTOLD
        else ""
    )
    return f"{phrase} ({number}){detail}" if number is not None else phrase
