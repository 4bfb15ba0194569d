"""Rows that are there: all of them at one moment, or in chunks while changes stream in."""

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.connectors.cdc.mysql.columns import TableColumns
from headrace.connectors.cdc.mysql.connection import Sql, quoted
from headrace.connectors.cdc.mysql.records import Records
from headrace.connectors.cdc.mysql.shape import MASK, Choice
from headrace.connectors.cdc.mysql.values import BINARY, INTEGERS, converter, float_value
from headrace.connectors.cdc.source import SnapshotRow

_UNQUOTED = INTEGERS | {"decimal"}


class Selection:
    """How the rows of one table are asked for, and what is made of them."""

    def __init__(self, table: TableColumns, choice: Choice, topic: str, records: Records) -> None:
        self.table = table
        self.topic = topic
        self.key = table.key if choice.key is None else choice.key
        self._records = records
        described = {column.name: column for column in table.columns}
        kept = [one for one in table.columns if choice.keeps(one.name, self.key)]
        self._names = [column.name for column in kept]
        self._converters: list[Any] = [
            (lambda _: MASK)
            if column.name in choice.mask
            else float_value
            if column.type == "float"
            else converter(column, choice.spelling)
            for column in kept
        ]
        # A float as text is rounded to six digits, and is not what the log has.
        selected = [
            f"CAST({quoted(column.name)} AS DOUBLE)"
            if column.type == "float"
            else quoted(column.name)
            for column in kept
        ]
        self._columns = ", ".join(selected)
        self._from = quoted(table.name.schema, table.name.table)
        missing = [name for name in self.key if name not in described]
        if missing:
            raise CaptureError(
                "key_missing",
                f"table {table.name} has no column '{missing[0]}', which is of its key; see 'keys'",
            )
        self._key_columns = [described[name] for name in self.key]
        self._key_indexes = [self._names.index(name) for name in self.key]
        self._order = ", ".join(map(quoted, self.key))

    def statement(self, where: str | None, cursor: Any = None, count: int | None = None) -> str:
        """The rows behind a cursor in the order of the key; of a table without one, all in any order."""
        conditions = [f"({where})"] if where else []
        if cursor is not None:
            conditions.append(self._behind(cursor))
        sql = f"SELECT {self._columns} FROM {self._from}"  # noqa: S608 # names are quoted, and `where` is the user's own
        if conditions:
            sql += f" WHERE {' AND '.join(conditions)}"
        if self._order:
            sql += f" ORDER BY {self._order}"
        return f"{sql} LIMIT {count}" if count is not None else sql

    def _behind(self, cursor: Sequence[str]) -> str:
        """`a > 1 or a = 1 and b > 2`, which unlike `(a, b) > (1, 2)` uses an index."""
        literals = [
            value
            if column.type in _UNQUOTED
            else f"X'{value}'"
            if _is_binary(column.type)
            else _quoted_text(value)
            for column, value in zip(self._key_columns, cursor, strict=True)
        ]
        parts = []
        for number, (name, literal) in enumerate(zip(self.key, literals, strict=True)):
            equal = [
                f"{quoted(before)} = {value}"
                for before, value in zip(self.key[:number], literals[:number], strict=True)
            ]
            parts.append(" AND ".join([*equal, f"{quoted(name)} > {literal}"]))
        return f"({' OR '.join(f'({part})' for part in parts)})"

    def cursor_of(self, row: Sequence[Any]) -> list[str] | None:
        """Where the next rows begin; None for a table without a key."""
        values = [row[index] for index in self._key_indexes]
        return [one.hex() if isinstance(one, bytes) else str(one) for one in values] or None

    def rows(
        self, raw: Sequence[Sequence[Any]], kind: str, now_ms: int, gtid: str
    ) -> list[SnapshotRow]:
        """Rows as the server sent them as records."""
        source = self._records.source(
            self.table.name, now_ms, {"snapshot": kind, "gtid": gtid, "index": 0}
        )
        envelope = self._records.envelope
        return [
            SnapshotRow(
                self.topic,
                self._key_of(row),
                envelope("r", None, row, source, now_ms),
                now_ms,
            )
            for row in map(self._row, raw)
        ]

    def _row(self, values: Sequence[Any]) -> dict[str, Any]:
        return {
            name: None if value is None else convert(value)
            for name, convert, value in zip(self._names, self._converters, values, strict=True)
        }

    def _key_of(self, row: dict[str, Any]) -> bytes | None:
        return self._records.key(row, self.key)


def _is_binary(kind: str) -> bool:
    return kind in BINARY or kind == "bit"


def _quoted_text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def view_of_mariadb(sql: Sql) -> str:
    """Begin a transaction that sees all tables as they are now; where that is in the log.

    MariaDB knows this of a view, so that nobody has to be kept from writing.
    """
    sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    place = dict(sql("SHOW STATUS LIKE 'binlog_snapshot_%'"))
    file, position = place.get("Binlog_snapshot_file"), place.get("Binlog_snapshot_position")
    if not file:
        raise CaptureError("setting_log_bin", "the server writes no binary log; set log_bin")
    found = sql.value(f"SELECT BINLOG_GTID_POS('{file}', {position})")
    if found is None:
        raise DatabaseUnavailableError("the log moved on while a view of the tables was taken")
    return found


class ConsistentView:
    """All tables as they were at one moment, of which the position in the log is known. Owns its connection."""

    def __init__(self, sql: Sql, *, is_mariadb: bool) -> None:
        self._sql = sql
        sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        sql("SET SESSION net_write_timeout = 3600")
        self.gtids = view_of_mariadb(sql) if is_mariadb else self._of_mysql()

    def _of_mysql(self) -> str:
        """MySQL has to be kept from writing for the moment in which the view is taken."""
        try:
            self._sql("FLUSH TABLES WITH READ LOCK")
        except CaptureError as error:
            said = str(error).removeprefix(f"{error.code}: ")
            raise CaptureError(
                error.code,
                f"{said}; a snapshot of MySQL begins with a short FLUSH TABLES WITH READ LOCK, which needs RELOAD"
                " ('snapshot: never' does without)",
            ) from error
        try:
            self._sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            return (self._sql.value("SELECT @@global.gtid_executed") or "").replace("\n", "")
        finally:
            self._sql("UNLOCK TABLES")

    def parts(
        self, selection: Selection, where: str | None, count: int, now_ms: int
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        """The rows of a table, with the cursor behind each part.

        A table that was altered since the view was taken cannot be read in it any more: the server says so, and the
        snapshot begins anew.
        """
        for raw in self._sql.parts(selection.statement(where), count):
            rows = selection.rows(raw, "true", now_ms, self.gtids)
            yield rows, selection.cursor_of(raw[-1])

    def close(self) -> None:
        self._sql.close()
