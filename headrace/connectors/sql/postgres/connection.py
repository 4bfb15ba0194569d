"""One connection to PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from headrace.connectors.sql.database import Column, Connection, Kind, Row, SqlFailedError, Table
from headrace.connectors.sql.place import ConnectionPlace
from headrace.connectors.sql.postgres import writing
from headrace.connectors.sql.postgres.failures import failure_of
from headrace.connectors.sql.postgres.loading import set_up
from headrace.connectors.sql.results import PLAIN, plain
from headrace.connectors.sql.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_KINDS: Final[dict[str, Kind]] = {
    "bytea": "bytes",
    "json": "json",
    "jsonb": "json",
    "timestamp": "datetime",
    "timestamptz": "datetime",
    "date": "date",
    "time": "time",
}
_CATALOG: Final = """
    select a.attname, coalesce(base.typname, t.typname), a.attgenerated <> '', a.attidentity = 'a',
           coalesce(array_position(i.indkey::int2[], a.attnum), -1)
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join pg_type base on base.oid = t.typbasetype
    left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
    where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
_TYPE: Final = """
    select format_type(atttypid, null) from pg_attribute
    where attrelid = to_regclass(%s) and attname = %s and not attisdropped
"""


class PostgresConnection(Connection):
    """Takes many rows in one statement, as one JSON text that the server reads with the types of the table."""

    is_step_atomic = True

    def __init__(self, connection: "psycopg.AsyncConnection[Any]", place: ConnectionPlace) -> None:
        self._connection = connection
        self._place = place
        self._types: dict[tuple[str, ...], str] = {}
        set_up(connection)

    @property
    def is_broken(self) -> bool:
        return self._connection.closed

    async def check(self) -> None:
        await self._run("select 1", "the check of a connection")

    async def close(self) -> None:
        import psycopg

        with suppress(psycopg.Error):  # it is of no use any more, in whatever way
            await self._connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        with self._failures("a transaction"):
            async with self._connection.transaction():
                yield

    async def query(
        self, statement: Statement, parameters: Sequence[Row]
    ) -> list[list[dict[str, Any]]]:
        text = _spelled(statement)
        with self._failures("the query"):
            if len(parameters) == 1:
                cursor = await self._connection.execute(text, _adapted(parameters[0]))
                return [await self._rows(cursor)]
            async with self._connection.pipeline() as pipeline:
                cursors = [
                    await self._connection.cursor().execute(text, _adapted(one))
                    for one in parameters
                ]
                await pipeline.sync()  # before it, a cursor knows no columns
                return [await self._rows(cursor) for cursor in cursors]

    async def execute(self, statement: Statement, parameters: Sequence[Row]) -> None:
        text = _spelled(statement)
        with self._failures("the statement"):
            async with self._connection.cursor() as cursor:
                if len(parameters) == 1:
                    await cursor.execute(text, _adapted(parameters[0]))
                else:
                    await cursor.executemany(text, [_adapted(one) or {} for one in parameters])

    async def table(self, name: tuple[str, ...]) -> Table:
        quoted = writing.literal(name)
        with self._failures(f"reading the columns of table '{'.'.join(name)}'"):
            cursor = await self._connection.execute(_CATALOG, (quoted,))
            found = await cursor.fetchall()
        if not found:
            raise SqlFailedError(
                f"{self._place.address.shown} has no table '{'.'.join(name)}' that we may see",
                is_temporary=False,
                status="42P01",
                is_of_record=False,
            )
        columns = {
            column: Column(column, _KINDS.get(kind, "plain"), is_generated, is_identity)
            for column, kind, is_generated, is_identity, _ in found
        }
        key = sorted((place, column) for column, *_, place in found if place >= 0)
        return Table(name, columns, tuple(column for _, column in key))

    async def insert(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str] | None
    ) -> None:
        await self._written(writing.insert(table, columns, key), table, "writing to", rows)

    async def update(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str]
    ) -> None:
        await self._written(writing.update(table, columns, key), table, "writing to", rows)

    async def delete(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
        await self._written(writing.delete(table, key), table, "deleting from", rows)

    async def clear(self, table: Table) -> None:
        # TRUNCATE would wait for, and shut out, everybody who reads.
        text = f"delete from {writing.literal(table.name)}"
        await self._run(text, f"clearing table '{table.shown}'")

    async def find(
        self, table: tuple[str, ...], column: str, select: Sequence[str], keys: Sequence[Any]
    ) -> list[list[dict[str, Any]]]:
        kind = await self._type_of(table, column)
        text = writing.find(table, column, kind, select)
        given = [writing.as_text(key) for key in keys]
        found: list[list[dict[str, Any]]] = [[] for _ in keys]
        with self._failures(f"looking in table '{'.'.join(table)}'"):
            cursor = await self._connection.execute(text, (given,))
            for row in await self._rows(cursor):
                found[row.pop(writing.NUMBER) - 1].append(row)
        return found

    async def _type_of(self, table: tuple[str, ...], column: str) -> str:
        """The name of a column's type, asked for once."""
        place = (*table, column)
        if place not in self._types:
            what = f"column '{column}' of table '{'.'.join(table)}'"
            with self._failures(f"reading the type of {what}"):
                cursor = await self._connection.execute(_TYPE, (writing.literal(table), column))
                found = await cursor.fetchone()
            if found is None:
                raise SqlFailedError(
                    f"{self._place.address.shown} has no {what} that we may see",
                    is_temporary=False,
                    status="42703",
                    is_of_record=False,
                )
            self._types[place] = found[0]
        return self._types[place]

    async def _written(self, text: str, table: Table, doing: str, rows: Sequence[Row]) -> None:
        await self._run(text, f"{doing} table '{table.shown}'", (writing.rows_json(rows),))

    async def _run(self, text: str, what: str, parameters: tuple[Any, ...] | None = None) -> None:
        with self._failures(what):
            await self._connection.execute(text, parameters)

    async def _rows(self, cursor: "psycopg.AsyncCursor[Any]") -> list[dict[str, Any]]:
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        decimal = self._place.decimal
        return [
            {
                name: value if value.__class__ in PLAIN else plain(value, decimal)
                for name, value in zip(names, row, strict=True)
            }
            for row in await cursor.fetchall()
        ]

    @contextmanager
    def _failures(self, what: str) -> "Iterator[None]":
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise failure_of(error, what) from error


def _spelled(statement: Statement) -> Any:
    if not statement.names:
        return statement.text
    return statement.spelled(lambda name: f"%({name})s", percent="%%")


def _adapted(parameters: Row) -> dict[str, Any] | None:
    """Maps become JSON; everything else is what psycopg knows."""
    if not parameters:
        return None
    from psycopg.types.json import Jsonb

    return {
        name: Jsonb(value) if isinstance(value, dict) else value
        for name, value in parameters.items()
    }
