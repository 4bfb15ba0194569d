"""One connection to MySQL or MariaDB."""

import contextlib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from headrace.connectors.sql.database import Column, Kind, Row, SqlFailedError, Table
from headrace.connectors.sql.mysql.failures import LOST, failure_of
from headrace.connectors.sql.threaded import ThreadedConnection, adapted, chunks

_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytes"),
    "json": "json",
    "datetime": "datetime",
    "timestamp": "datetime",
    "date": "date",
    "time": "time",
}
_MARIADB_TYPE: Final = """
    if(c.data_type = 'longtext' and exists (
        select 1 from information_schema.check_constraints j
        where j.constraint_schema = c.table_schema and j.table_name = c.table_name
          and j.check_clause = concat('json_valid(`', c.column_name, '`)')), 'json', c.data_type)
"""
"""To MariaDB JSON is text with a constraint."""
_CATALOG: Final = """
    select c.column_name as name, {type} as type, c.extra as extra, k.ordinal_position as place
    from information_schema.columns c
    left join information_schema.key_column_usage k
      on k.table_schema = c.table_schema and k.table_name = c.table_name
     and k.column_name = c.column_name and k.constraint_name = 'PRIMARY'
    where c.table_schema = coalesce(%s, database()) and c.table_name = %s
    order by c.ordinal_position
"""


class MysqlConnection(ThreadedConnection):
    """Takes many rows in one statement."""

    PLACE = "%s"
    PERCENT = "%%"  # in statements with parameters PyMySQL gives the sign a meaning

    def failure(self, error: Exception, what: str) -> SqlFailedError:
        failure = failure_of(error, what)
        if failure.status in LOST:
            self._is_closed = True
            self._thread.submit(self._close_driver)
            self._thread.shutdown(wait=False)
        return failure

    def interrupt(self) -> None:
        held = getattr(self._driver, "_sock", None)
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def _spelled(self, statement: Any) -> str:
        return str(statement.spelled(self.parameter, percent="%%" if statement.names else "%"))

    async def check(self) -> None:
        await self.run("the check of a connection", lambda: self._driver.ping(reconnect=False))

    async def table(self, name: tuple[str, ...]) -> Table:
        schema = name[0] if len(name) > 1 else None
        is_mariadb = "mariadb" in self._driver.get_server_info().lower()
        catalog = _CATALOG.replace("{type}", _MARIADB_TYPE if is_mariadb else "c.data_type")
        found = await self.run(
            "reading the columns of a table", lambda: self._fetch(catalog, (schema, name[-1]))
        )
        if not found:
            raise SqlFailedError(
                f"{self._place.address.shown} has no table '{'.'.join(name)}' that we may see",
                is_temporary=False,
                status=1146,
                is_of_record=False,
            )
        columns = {
            row["name"]: Column(
                row["name"],
                _KINDS.get(row["type"].lower(), "plain"),
                is_generated="generated" in row["extra"].lower()
                and "default_generated" not in row["extra"].lower(),
            )
            for row in found
        }
        key = sorted((row["place"], row["name"]) for row in found if row["place"])
        return Table(name, columns, tuple(column for _, column in key))

    async def insert(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str] | None
    ) -> None:
        begin = f"insert into {self.named(table.name)} ({self.listed(columns)}) values "
        end = ""
        if key is not None:
            others = [name for name in columns if name not in key] or [key[0]]
            changed = ", ".join(
                f"{self.quoted(name)} = values({self.quoted(name)})" for name in others
            )
            end = f" on duplicate key update {changed}"
        kinds = [table.columns[name].kind for name in columns]
        one = f"({', '.join('%s' for _ in columns)})"

        def work() -> None:
            for chunk in chunks(rows):
                given = [
                    _value(row[name], kind)
                    for row in chunk
                    for name, kind in zip(columns, kinds, strict=True)
                ]
                self._execute(begin + ", ".join(one for _ in chunk) + end, given)

        await self.run(f"writing to table '{table.shown}'", work)

    async def update(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str]
    ) -> None:
        others = [name for name in columns if name not in key]
        changed = ", ".join(f"{self.quoted(name)} = %s" for name in others)
        same = " and ".join(f"{self.quoted(name)} = %s" for name in key)
        text = f"update {self.named(table.name)} set {changed} where {same}"
        kinds = [(name, table.columns[name].kind) for name in [*others, *key]]

        def work() -> None:
            for row in rows:
                self._execute(text, [_value(row[name], kind) for name, kind in kinds])

        await self.run(f"writing to table '{table.shown}'", work)

    async def delete(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
        kinds = [(name, table.columns[name].kind) for name in key]
        one = f"({', '.join('%s' for _ in key)})"

        def work() -> None:
            for chunk in chunks(rows):
                text = f"delete from {self.named(table.name)} where ({self.listed(key)}) in ({', '.join(one for _ in chunk)})"
                self._execute(
                    text, [_value(row[name], kind) for row in chunk for name, kind in kinds]
                )

        await self.run(f"deleting from table '{table.shown}'", work)

    async def clear(self, table: Table) -> None:
        text = f"delete from {self.named(table.name)}".replace("%%", "%")
        await self.run(f"clearing table '{table.shown}'", lambda: self._execute(text))


def _value(value: Any, kind: Kind) -> Any:
    if kind == "datetime" and isinstance(value, str):
        # The server takes neither the `Z` nor the offset of ISO 8601; the session is in UTC.
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC)
            return moment.replace(tzinfo=None)
    return adapted(value)
