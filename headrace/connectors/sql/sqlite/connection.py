"""One connection to a file of SQLite."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from headrace.connectors.sql.database import Column, Kind, Row, SqlFailedError, Table
from headrace.connectors.sql.sqlite.failures import failure_of
from headrace.connectors.sql.threaded import IN_ONE, ThreadedConnection, matched


class SqliteConnection(ThreadedConnection):
    """Takes many rows with one prepared statement."""

    BEGIN = "begin immediate"  # otherwise two that read and then write would wait for each other

    def failure(self, error: Exception, what: str) -> SqlFailedError:
        return failure_of(error, what)

    def interrupt(self) -> None:
        self._driver.interrupt()

    def parameter(self, name: str) -> str:
        return f":{name}"

    def adapted(self, parameters: Row) -> dict[str, Any]:
        return {name: _adapted(value) for name, value in parameters.items()}

    def _spelled(self, statement: Any) -> str:
        return str(statement.spelled(self.parameter, percent="%"))

    async def check(self) -> None:
        await self.run("the check of a connection", lambda: self._execute("select 1"))

    async def table(self, name: tuple[str, ...]) -> Table:
        schema = f"{_quoted(name[0])}." if len(name) > 1 else ""
        text = f"pragma {schema}table_xinfo({_quoted(name[-1])})"
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
        text = f"insert into {_name(table.name)} ({_list(columns)}) values ({places})"
        if key is not None:
            others = [name for name in columns if name not in key]
            changed = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in others)
            does = f"update set {changed}" if others else "nothing"
            text += f" on conflict ({_list(key)}) do {does}"
        await self._many(f"writing to table '{table.shown}'", text, columns, rows)

    async def update(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str]
    ) -> None:
        others = [name for name in columns if name not in key]
        changed = ", ".join(f"{_quoted(name)} = ?" for name in others)
        text = f"update {_name(table.name)} set {changed} where {_same(key)}"
        await self._many(f"writing to table '{table.shown}'", text, [*others, *key], rows)

    async def delete(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
        text = f"delete from {_name(table.name)} where {_same(key)}"
        await self._many(f"deleting from table '{table.shown}'", text, key, rows)

    async def clear(self, table: Table) -> None:
        text = f"delete from {_name(table.name)}"
        await self.run(f"clearing table '{table.shown}'", lambda: self._execute(text))

    async def find(
        self, table: tuple[str, ...], column: str, select: Sequence[str], keys: Sequence[Any]
    ) -> list[list[dict[str, Any]]]:
        what = _list(dict.fromkeys([*select, column])) if select else "*"

        def work() -> list[dict[str, Any]]:
            rows = []
            for chunk in _chunks(keys):
                places = ", ".join("?" for _ in chunk)
                text = f"select {what} from {_name(table)} where {_quoted(column)} in ({places})"
                rows += self._fetch(text, [_adapted(key) for key in chunk])
            return rows

        rows = await self.run(f"looking in table '{'.'.join(table)}'", work)
        return matched(rows, column, keys, select)

    async def _many(
        self, what: str, text: str, columns: Sequence[str], rows: Sequence[Row]
    ) -> None:
        given = [[_adapted(row[name]) for name in columns] for row in rows]
        await self.run(what, lambda: self._driver.executemany(text, given))


def _chunks(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (keys[at : at + IN_ONE] for at in range(0, len(keys), IN_ONE))


def _adapted(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value) if isinstance(value, str) else value


def _kind(declared: str) -> Kind:
    if "blob" in declared:
        return "bytes"
    if "json" in declared:
        return "json"
    if "datetime" in declared or "timestamp" in declared:
        return "datetime"
    return "date" if declared == "date" else "time" if declared == "time" else "plain"


def _quoted(name: str) -> str:
    # In double quotes SQLite takes the name of a column that is not there for a text.
    return "`" + name.replace("`", "``") + "`"


def _name(name: Sequence[str]) -> str:
    return ".".join(_quoted(part) for part in name)


def _list(names: Any) -> str:
    return ", ".join(_quoted(name) for name in names)


def _same(key: Sequence[str]) -> str:
    return " and ".join(f"{_quoted(name)} = ?" for name in key)
