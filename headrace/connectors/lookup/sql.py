"""`hydrate` over SQL: rows of a table by one of its columns, many at once, or what a query finds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from headrace.connectors.sql.connection_config import SqlConnectionConfig
from headrace.connectors.sql.database import SqlFailedError
from headrace.connectors.sql.statement import Statement, StatementError
from headrace.runtime.contracts.call import Opening
from headrace.runtime.contracts.lookup import Finder, Lookup, Question
from headrace.runtime.expression import Template


class SqlLookupConfig(SqlConnectionConfig):
    """A database, and a table with a column, or a query."""

    table: str | None = Field(None, description="the table to look in, such as public.customers")
    column: str | None = Field(
        None, description="with `table`: the column that has the key; should have an index"
    )
    columns: list[str] = Field(
        default_factory=list, description="with `table`: read only these columns"
    )
    query: str | None = Field(
        None, description="in place of `table`: a query, in which `:key` is the key"
    )
    rows: Literal["first", "all"] = Field(
        "first", description="add the first row that is found, or all of them, as a list"
    )
    batch: int = Field(500, ge=1, le=10_000, description="keys that are looked up together at most")


class SqlLookup(Lookup):
    """Keys of a batch are looked up in one statement (a table), or in one go (a query)."""

    Config = SqlLookupConfig
    description = "a database: `database`, and `table` with `column`, or `query`"
    config: SqlLookupConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        yield from config.connection_problems()
        if (config.table is None) == (config.query is None):
            yield "needs either 'table' with 'column', or 'query'"
            return
        if config.table is not None:
            if config.column is None:
                yield "'table' needs 'column', which has the key"
            if not all(config.table.split(".")) or config.table.count(".") > 1:
                yield "'table' is a name, or schema and name as in public.customers"
            return
        if config.column is not None or config.columns:
            yield "'column' and 'columns' go with 'table'"
        try:
            statement = Statement.parse(config.query or "")
        except StatementError as error:
            yield f"'query': {error}"
            return
        if set(statement.names) != {"key"}:
            yield "'query' must mention :key, and no other parameter"

    def summary(self) -> str:
        if self.config.table is not None:
            return f"{self.config.table}.{self.config.column} of a database"
        return "a database"

    @property
    def batch_size(self) -> int:
        return self.config.batch

    @property
    def concurrency(self) -> int:
        return self.config.connections

    def settings(self) -> Mapping[str, Template]:
        return self.config.connection_settings()

    def finder(self, opening: Opening) -> Finder:
        return SqlFinder(self.config, opening)


class SqlFinder(Finder):
    """A key that the database refuses, such as text for a number, leaves the others alone."""

    def __init__(self, config: SqlLookupConfig, opening: Opening) -> None:
        self._config = config
        self._pool = config.pool(opening.settings, opening.clock)
        self._statement = None if config.query is None else Statement.parse(config.query)

    async def find(self, questions: Sequence[Question]) -> Sequence[Any]:
        found = await self._rows([question.key for question in questions])
        if self._config.rows == "first":
            return [rows[0] if isinstance(rows, list) and rows else rows or None for rows in found]
        return [rows or None for rows in found]

    async def close(self) -> None:
        await self._pool.close()

    async def _rows(self, keys: Sequence[Any]) -> list[list[dict[str, Any]] | SqlFailedError]:
        try:
            return list(await self._asked(keys))
        except SqlFailedError as error:
            if len(keys) == 1 or not error.is_of_record:
                return [error] * len(keys)
        middle = len(keys) // 2
        return [*await self._rows(keys[:middle]), *await self._rows(keys[middle:])]

    async def _asked(self, keys: Sequence[Any]) -> list[list[dict[str, Any]]]:
        config = self._config
        async with self._pool.connection() as connection:
            if self._statement is not None:
                return await connection.query(self._statement, [{"key": key} for key in keys])
            assert config.table is not None
            assert config.column is not None
            place = tuple(config.table.split("."))
            return await connection.find(place, config.column, config.columns, keys)
