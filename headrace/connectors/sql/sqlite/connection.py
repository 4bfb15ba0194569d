"""One connection to a file of SQLite."""

from collections.abc import Sequence
from typing import Any

from headrace.connectors.sql.database import Column, Kind, Row, SqlFailedError, Table
from headrace.connectors.sql.sqlite.failures import failure_of
from headrace.connectors.sql.threaded import ThreadedConnection, adapted


class SqliteConnection(ThreadedConnection):
    """Takes many rows with one prepared statement."""

    BEGIN = "begin immediate"  # otherwise two that read and then write would wait for each other

    def failure(self, error: Exception, what: str) -> SqlFailedError:
        return failure_of(error, what)

    def interrupt(self) -> None:
        self._driver.interrupt()

    def parameter(self, name: str) -> str:
        return f":{name}"

    def _spelled(self, statement: Any) -> str:
        return str(statement.spelled(self.parameter, percent="%"))

    async def check(self) -> None:
        await self.run("the check of a connection", lambda: self._execute("select 1"))

    async def table(self, name: tuple[str, ...]) -> Table:
        schema = f"{self.quoted(name[0])}." if len(name) > 1 else ""
        text = f"pragma {schema}table_xinfo({self.quoted(name[-1])})"
        found = await self.run("reading the columns of a table", lambda: self._fetch(text))
        if not found:
            raise SqlFailedError(
                f"{self._place.address.shown} has no table '{'.'.join(name)}'",
                is_temporary=False,
                status="SQLITE_ERROR",
                is_of_record=False,
            )
        columns = {
            row["name"]: Column(
                row["name"], _kind(str(row["type"]).lower()), is_generated=row["hidden"] in (2, 3)
            )
            for row in found
        }
        key = sorted((row["pk"], row["name"]) for row in found if row["pk"])
        return Table(name, columns, tuple(column for _, column in key))

    async def insert(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str] | None
    ) -> None:
        places = ", ".join("?" for _ in columns)
        text = f"insert into {self.named(table.name)} ({self.listed(columns)}) values ({places})"
        if key is not None:
            others = [name for name in columns if name not in key]
            changed = ", ".join(
                f"{self.quoted(name)} = excluded.{self.quoted(name)}" for name in others
            )
            does = f"update set {changed}" if others else "nothing"
            text += f" on conflict ({self.listed(key)}) do {does}"
        await self._many(f"writing to table '{table.shown}'", text, columns, rows)

    async def update(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str]
    ) -> None:
        others = [name for name in columns if name not in key]
        changed = ", ".join(f"{self.quoted(name)} = ?" for name in others)
        text = f"update {self.named(table.name)} set {changed} where {self._same(key)}"
        await self._many(f"writing to table '{table.shown}'", text, [*others, *key], rows)

    async def delete(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
        text = f"delete from {self.named(table.name)} where {self._same(key)}"
        await self._many(f"deleting from table '{table.shown}'", text, key, rows)

    async def clear(self, table: Table) -> None:
        text = f"delete from {self.named(table.name)}"
        await self.run(f"clearing table '{table.shown}'", lambda: self._execute(text))

    def _same(self, key: Sequence[str]) -> str:
        return " and ".join(f"{self.quoted(name)} = ?" for name in key)

    async def _many(
        self, what: str, text: str, columns: Sequence[str], rows: Sequence[Row]
    ) -> None:
        given = [[adapted(row[name]) for name in columns] for row in rows]
        await self.run(what, lambda: self._driver.executemany(text, given))


def _kind(declared: str) -> Kind:
    if "blob" in declared:
        return "bytes"
    if "json" in declared:
        return "json"
    if "datetime" in declared or "timestamp" in declared:
        return "datetime"
    return "date" if declared == "date" else "time" if declared == "time" else "plain"
