"""PostgreSQL's statements that take many rows at once, as one JSON text."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from headrace.connectors.sql.column_values import JsonText
from headrace.connectors.sql.database import Row, SqlFailedError, Table

NUMBER: Final = "headrace_number"
"""The column that tells which of the given values a row was found for."""


def literal(name: Sequence[str]) -> str:
    """A name, with its schema if it has one, that is taken literally."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def quoted(name: Sequence[str]) -> str:
    """The same in statements with parameters, in which psycopg gives `%` a meaning."""
    return literal(name).replace("%", "%%")


def _quoted(name: str) -> str:
    return quoted((name,))


def insert(table: Table, columns: Sequence[str], key: Sequence[str] | None) -> str:
    """Insert rows; with a key, update those that are there."""
    names = _list(columns)
    overriding = (
        " overriding system value"
        if any(table.columns[name].is_identity for name in columns)
        else ""
    )
    text = f"insert into {quoted(table.name)} ({names}){overriding} select {names} from {_rows(table)} as given"
    if key is None:
        return text
    others = [name for name in columns if name not in key]
    if not others:
        return f"{text} on conflict ({_list(key)}) do nothing"
    changed = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in others)
    return f"{text} on conflict ({_list(key)}) do update set {changed}"


def update(table: Table, columns: Sequence[str], key: Sequence[str]) -> str:
    """Update rows that are there."""
    changed = ", ".join(
        f"{_quoted(name)} = given.{_quoted(name)}" for name in columns if name not in key
    )
    return f"update {quoted(table.name)} as held set {changed} from {_rows(table)} as given where {_same(key)}"


def delete(table: Table, key: Sequence[str]) -> str:
    """Delete rows by their key."""
    return (
        f"delete from {quoted(table.name)} as held using {_rows(table)} as given where {_same(key)}"
    )


def find(table: tuple[str, ...], column: str, kind: str, select: Sequence[str]) -> str:
    """The rows in which a column of type `kind` has one of many values, each with the number of its value.

    The values come as texts, which get the type of the column, so that its index is used.
    """
    what = ", ".join(f"held.{_quoted(name)}" for name in select) if select else "held.*"
    given = f"unnest(%s::text[]::{kind}[]) with ordinality as given (key, number)"
    same = f"held.{_quoted(column)} = given.key"
    return f"select given.number as {NUMBER}, {what} from {given} join {quoted(table)} as held on {same}"


def rows_json(rows: Sequence[Row]) -> str:
    """Rows as the parameter of these statements.

    Raises:
        SqlFailedError: a value has no JSON, such as a number of more than 64 bits.
    """
    try:
        given = [{name: _json(value) for name, value in row.items()} for row in rows]
        return orjson.dumps(given).decode()
    except TypeError as error:
        raise SqlFailedError(
            f"a row cannot be written as JSON: {error}",
            is_temporary=False,
            status=None,
            is_of_record=True,
        ) from None


def as_text(value: Any) -> str:
    """A value as the text of any type."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, JsonText):
        return orjson.Fragment(str(value))
    return "\\x" + value.hex() if isinstance(value, bytes) else value


def _rows(table: Table) -> str:
    return f"json_populate_recordset(null::{quoted(table.name)}, %s::json)"


def _same(key: Sequence[str]) -> str:
    return " and ".join(f"held.{_quoted(name)} = given.{_quoted(name)}" for name in key)


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names)
