"""Rows that are there already, read with COPY: a consistent view at the beginning, chunks while changes stream in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.connectors.cdc.postgres.captured import Captured
from headrace.connectors.cdc.postgres.catalog import CatalogTable
from headrace.connectors.cdc.postgres.connection import Sql, literal, quoted
from headrace.connectors.cdc.postgres.envelope import SnapshotEnvelope
from headrace.connectors.cdc.postgres.layout import Layout
from headrace.connectors.cdc.postgres.publication import Published
from headrace.connectors.cdc.postgres.values import copied_values
from headrace.connectors.cdc.source import SnapshotRow

_COPIED_MAX = 200_000
"""Rows of one statement of a keyed table: few enough that PostgreSQL walks along the key's index instead of sorting the table."""


class TableReader:
    """Reads one table in the order of its key, or as it comes where it has none."""

    def __init__(
        self,
        captured: Captured,
        table: CatalogTable,
        published: Published,
        where: str | None,
        envelope: SnapshotEnvelope,
    ) -> None:
        self._table = table
        self._layout: Layout = captured.layout(table, published.columns)
        self._order = captured.order(table)
        self._cursor_indexes = [self._layout.names.index(name) for name in self._order]
        self._conditions = [f"({text})" for text in (published.condition, where) if text]
        self._envelope = envelope

    def all(self, sql: Sql, count: int) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        """Every row, at most `count` at a time, with the cursor behind them."""
        if not self._order:
            yield from self._parts(sql.copy(_copy(self._statement(None, None))), count)
            return
        cursor = None
        while True:
            limit = max(count, _COPIED_MAX)
            seen = 0
            lines = sql.copy(_copy(self._statement(cursor, limit)))
            for rows, cursor in self._parts(lines, count):  # goes on behind it
                seen += len(rows)
                yield rows, cursor
            if seen < limit:
                return

    def some(self, sql: Sql, cursor: Any, count: int) -> tuple[list[SnapshotRow], Any]:
        """At most `count` rows behind a cursor, and the cursor behind them, None at the end.

        The end is the last key that there was at the first call: rows behind it are changes that stream in, and a table that
        grows quickly would never come to an end.
        """
        if not isinstance(cursor, Mapping):  # None, or how far the consistent view was read
            cursor = {"after": cursor, "last": self._last(sql)}
        if cursor["last"] is None:
            return [], None
        rows: list[SnapshotRow] = []
        behind = None
        statement = self._statement(cursor["after"], count, cursor["last"])
        for part, after in self._parts(sql.copy(_copy(statement)), count):
            rows += part
            behind = after
        return rows, {**cursor, "after": behind} if len(rows) == count else None

    def plan(self, sql: Sql) -> None:
        """Have the database plan to read rows, which it refuses where the table itself is the trouble."""
        sql.rows(f"explain {self._statement(None, 1)}")

    def _last(self, sql: Sql) -> list[str] | None:
        """The last key that there is."""
        columns = ", ".join(f"{quoted(name)}::text" for name in self._order)
        order = ", ".join(f"t.{quoted(name)} desc" for name in self._order)  # not the text of it
        conditions = f" where {' and '.join(self._conditions)}" if self._conditions else ""
        found = sql.one(
            f"select {columns} from {quoted(*self._table.name)} t{conditions} order by {order} limit 1"  # noqa: S608 # names are quoted
        )
        return list(found) if found is not None else None

    def _statement(
        self, after: Sequence[str] | None, limit: int | None, last: Sequence[str] | None = None
    ) -> str:
        columns = ", ".join(quoted(name) for name in self._layout.names)
        order = ", ".join(quoted(name) for name in self._order)
        conditions = list(self._conditions)
        for sign, key in ((">", after), ("<=", last)):
            if key is not None:
                values = ", ".join(literal(value) for value in key)
                conditions.append(f"({order}) {sign} ({values})")
        statement = f"select {columns} from {quoted(*self._table.name)}"  # noqa: S608 # every name and value is quoted
        if conditions:
            statement += f" where {' and '.join(conditions)}"
        if limit is not None:
            statement += f" order by {order} limit {limit}"
        return statement

    def _parts(
        self, lines: Iterator[bytes], count: int
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        layout, topic = self._layout, self._layout.topic
        json_of, row_of, key_of = layout.json_of, layout.row, layout.key_of
        value_of, timestamp_ms = self._envelope.value, self._envelope.timestamp_ms
        rows: list[SnapshotRow] = []
        values: list[bytes | None] = []
        for line in lines:
            values = copied_values(line)
            row = json_of(values)
            rows.append(SnapshotRow(topic, key_of(row), value_of(row_of(row)), timestamp_ms))
            if len(rows) >= count:
                yield rows, self._cursor(values)
                rows = []
        if rows:
            yield rows, self._cursor(values)

    def _cursor(self, values: Sequence[bytes | None]) -> Any:
        return [(values[i] or b"").decode() for i in self._cursor_indexes] or None


def _copy(statement: str) -> str:
    return f"copy ({statement}) to stdout"
