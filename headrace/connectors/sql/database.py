"""What the action asks of a database, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from headrace.connectors.sql.statement import Statement
from headrace.runtime.contracts.call import CallFailedError

Row = Mapping[str, Any]
Kind = Literal["plain", "bytes", "json", "datetime", "date", "time"]
"""How values of JSON's types become values of a column; `plain` is left to the database."""


@dataclass(frozen=True)
class Column:
    """A column of a table that is written to."""

    name: str
    kind: Kind
    is_generated: bool = False
    """Its value is computed by the database and cannot be given."""
    is_identity: bool = False
    """Its value can be given only with `overriding system value`."""


@dataclass(frozen=True)
class Table:
    """A table that is written to, as the database's catalog has it."""

    name: tuple[str, ...]
    """Schema, if any, and name, unquoted."""
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    """The columns that tell rows apart; empty where there is no primary key."""

    @property
    def shown(self) -> str:
        return ".".join(self.name)


class SqlFailedError(CallFailedError):
    """A database refused something. `is_of_record`: another record might be accepted by the same statement."""

    def __init__(
        self, message: str, *, is_temporary: bool, status: int | str | None, is_of_record: bool
    ) -> None:
        super().__init__(message, is_temporary=is_temporary, status=status)
        self.is_of_record = is_of_record


class Connection(ABC):
    """One connection; not for two tasks at once. Every method raises SqlFailedError, and is undone when it is cancelled."""

    is_step_atomic: ClassVar[bool] = False
    """Whether `insert`, `update` and `delete` need no transaction to be done as a whole or not at all."""

    @property
    @abstractmethod
    def is_broken(self) -> bool:
        """Whether it can be used no more."""

    @abstractmethod
    async def check(self) -> None:
        """Ask for a sign of life."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of it, whatever is going on; never raises."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[None]:
        """What is done inside is done as a whole, or not at all."""

    @abstractmethod
    async def query(
        self, statement: Statement, parameters: Sequence[Row]
    ) -> list[list[dict[str, Any]]]:
        """The rows that a query gives for each of some parameters, as JSON's types."""

    @abstractmethod
    async def execute(self, statement: Statement, parameters: Sequence[Row]) -> None:
        """Carry out a statement for each of some parameters."""

    @abstractmethod
    async def table(self, name: tuple[str, ...]) -> Table:
        """What is known of a table.

        Raises:
            SqlFailedError: there is none of this name, or it cannot be seen.
        """

    @abstractmethod
    async def insert(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str] | None
    ) -> None:
        """Insert rows; with a key, those that are there already are updated in these columns. Each key is there once."""

    @abstractmethod
    async def update(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], key: Sequence[str]
    ) -> None:
        """Update the columns, besides the key, of rows that are there."""

    @abstractmethod
    async def delete(self, table: Table, rows: Sequence[Row], key: Sequence[str]) -> None:
        """Delete the rows with these keys, where they are there."""

    @abstractmethod
    async def clear(self, table: Table) -> None:
        """Delete every row."""

    @abstractmethod
    async def find(
        self, table: tuple[str, ...], column: str, select: Sequence[str], keys: Sequence[Any]
    ) -> list[list[dict[str, Any]]]:
        """For each key, the rows in which a column has it, with the columns of `select` (all when empty)."""


class Database(ABC):
    """A database that can be connected to."""

    @abstractmethod
    async def connect(self) -> Connection:
        """Connect.

        Raises:
            SqlFailedError: it cannot be reached, or refuses us.
        """
