"""The columns of a table as the server describes them."""

import re
from dataclasses import dataclass, replace
from typing import Protocol

from headrace.connectors.cdc.tables import TableName

_LENGTH = re.compile(r"\((\d+)")
_LABEL = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True)
class Column:
    """A column. `type` is the server's word without lengths, such as `varchar`."""

    name: str
    type: str
    length: int = 0  # of bit and binary
    digits: int = 0  # after the seconds
    labels: tuple[str, ...] = ()  # of enum and set
    is_generated: bool = False


@dataclass(frozen=True)
class TableColumns:
    """A table: its columns in order, and the names of those of its key, in the key's order."""

    name: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: int = -1
    engine: str = ""

    def with_key(self, key: tuple[str, ...]) -> "TableColumns":
        return replace(self, key=key)


class Query(Protocol):
    """Asks the server; values of rows as text, None where null."""

    def __call__(self, sql: str, *arguments: object) -> list[tuple[str | None, ...]]: ...


_TABLES = """
    SELECT table_schema, table_name, table_rows, engine FROM information_schema.tables
    WHERE table_type = 'BASE TABLE'
      AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
"""
_COLUMNS = """
    SELECT column_name, data_type, column_type, datetime_precision, extra
    FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_KEYS = """
    SELECT index_name, column_name, nullable, sub_part FROM information_schema.statistics
    WHERE table_schema = %s AND table_name = %s AND non_unique = 0 ORDER BY index_name, seq_in_index
"""


def existing_tables(query: Query) -> dict[TableName, tuple[int, str]]:
    """The tables that this user may see, each with an estimate of its rows and its storage engine."""
    return {
        TableName(str(schema), str(table)): (int(rows or -1), str(engine or ""))
        for schema, table, rows, engine in query(_TABLES)
    }


def describe(query: Query, name: TableName, rows: int = -1, engine: str = "") -> TableColumns:
    """The columns and the key of a table; no columns where there is no such table."""
    columns = tuple(
        _column(str(column), str(kind), str(full), digits, str(extra or ""))
        for column, kind, full, digits, extra in query(_COLUMNS, name.schema, name.table)
    )
    return TableColumns(name, columns, _key(query, name), rows, engine)


def _column(name: str, kind: str, full: str, digits: str | None, extra: str) -> Column:
    length = _LENGTH.search(full)
    labels = _LABEL.findall(full) if kind in ("enum", "set") else []
    return Column(
        name=name,
        type=kind.lower(),
        length=int(length[1]) if length else 1,
        digits=int(digits or 0),
        labels=tuple(label.replace("''", "'") for label in labels),
        is_generated="VIRTUAL" in extra.upper(),
    )


def _key(query: Query, name: TableName) -> tuple[str, ...]:
    """The primary key, else a unique index that tells every row from the others."""
    found: dict[str, list[str]] = {}
    unfit = set()
    for index, column, nullable, part in query(_KEYS, name.schema, name.table):
        found.setdefault(str(index), []).append(str(column))
        if nullable == "YES" or part is not None:
            unfit.add(str(index))
    if "PRIMARY" in found:
        return tuple(found["PRIMARY"])
    return next((tuple(columns) for index, columns in found.items() if index not in unfit), ())
