"""`sql`: asks a database, has it carry out a statement, or writes to one of its tables.

The three are actions of their own: which one is meant is told by the fields of the config.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headrace.connectors.sql.config import READING, WRITING, SqlConfig
from headrace.connectors.sql.execute_caller import ExecuteCaller
from headrace.connectors.sql.parameters import arguments_of
from headrace.connectors.sql.query_caller import QueryCaller
from headrace.connectors.sql.record_rows import COLUMN
from headrace.connectors.sql.statement import Statement, StatementError
from headrace.connectors.sql.write_caller import WriteCaller
from headrace.runtime.contracts.action import Action
from headrace.runtime.contracts.call import BatchAction, Caller, Opening
from headrace.runtime.expression import Expression, Template


class Sql(Action):
    """Asks a database (`query`), has it do something (`execute`), or writes rows to a table (`table`)."""

    Config = SqlConfig
    config: SqlConfig

    def specialised(self) -> Action:
        """The action that the config means; itself, with its problems, when there are any."""
        if any(True for _ in self.problems()):
            return self
        if self.config.query is not None:
            return SqlQuery(self.config)
        return SqlExecute(self.config) if self.config.execute is not None else SqlWrite(self.config)

    def problems(self) -> Iterable[str]:
        config = self.config
        named = [
            name for name in ("query", "execute", "table") if getattr(config, name) is not None
        ]
        if len(named) != 1:
            found = f", found {' and '.join(named)}" if named else ""
            yield f"needs exactly one of 'query', 'execute' and 'table'{found}"
            return
        yield from self._statement(named[0])
        yield from self._misplaced(named[0])
        if named[0] == "query":
            if (config.into is None) == (not config.merge):
                yield "into: a query needs either 'into', the field that gets what is found, or 'merge'"
            if config.merge and config.rows == "all":
                yield "rows: all of them are a list, which cannot be merged; name a field with 'into'"
        if named[0] == "table":
            yield from self._table()

    def _statement(self, name: str) -> Iterator[str]:
        if name == "table":
            return
        try:
            statement = Statement.parse(getattr(self.config, name))
        except StatementError as error:
            yield f"{name}: {error}"
            return
        for given in self.config.parameters:
            if given not in statement.names:
                yield f"parameters: '{given}' is not in the statement, which mentions {_listed(statement.names)}"

    def _misplaced(self, name: str) -> Iterator[str]:
        fields = (*(WRITING if name != "table" else ()), *(READING if name != "query" else ()))
        for field in fields:
            if field in self.config.model_fields_set:
                shown = "from" if field == "source" else field
                yield f"{shown}: does not go with '{name}'"
        if name == "table" and self.config.parameters:
            yield "parameters: do not go with 'table'; see 'columns'"

    def _table(self) -> Iterator[str]:
        config = self.config
        parts = (config.table or "").split(".")
        if len(parts) > 2 or not all(parts):
            yield "table: is a name, or schema and name as in public.orders"
        if config.columns and config.source == "debezium":
            yield "columns: changes of a database are written as they are; put a `map` in front to change rows"
        if config.columns and not set(config.key) <= set(config.columns):
            yield "columns: must have the columns of the key"


class _OfDatabase(BatchAction):
    """What the three have in common."""

    Config = SqlConfig
    config: SqlConfig

    @property
    def batch_size(self) -> int:
        return self.config.batch

    @property
    def concurrency(self) -> int:
        return self.config.connections

    def settings(self) -> Mapping[str, Template]:
        return self.config.connection_settings()


class SqlQuery(_OfDatabase):
    """Adds what a query finds to each event."""

    def __init__(self, config: SqlConfig) -> None:
        super().__init__(config)
        self._statement = Statement.parse(config.query or "")

    def summary(self) -> str:
        return f"{_shortened(self._statement)} into {self.config.into or 'the event'}"

    def arguments(self) -> Mapping[str, Expression | Template]:
        return arguments_of(self._statement, self.config.parameters)

    def caller(self, opening: Opening) -> Caller:
        return QueryCaller(self.config, self._statement, opening)


class SqlExecute(_OfDatabase):
    """Has the database do something for each event, which goes on as it is."""

    keeps_order = True

    def __init__(self, config: SqlConfig) -> None:
        super().__init__(config)
        self._statement = Statement.parse(config.execute or "")

    def summary(self) -> str:
        return _shortened(self._statement)

    def arguments(self) -> Mapping[str, Expression | Template]:
        return arguments_of(self._statement, self.config.parameters)

    def caller(self, opening: Opening) -> Caller:
        return ExecuteCaller(self.config, self._statement, opening)


class SqlWrite(_OfDatabase):
    """Writes each event to a table, and passes it on as it is."""

    keeps_order = True

    @property
    def concurrency(self) -> int:
        """Changes of a database are written in their order, whatever their key; rows that are no changes need not be."""
        return self.config.connections if self.config.source == "event" else 1

    def summary(self) -> str:
        return f"{self.config.write} into {self.config.table}"

    def arguments(self) -> Mapping[str, Any]:
        return {COLUMN + name: part for name, part in self.config.columns.items()}

    def caller(self, opening: Opening) -> Caller:
        return WriteCaller(self.config, opening)


def _shortened(statement: Statement) -> str:
    text = " ".join(statement.text.split())
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f":{name}" for name in dict.fromkeys(names)) or "none"
