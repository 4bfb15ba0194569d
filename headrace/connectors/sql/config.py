"""The config of `sql`."""

from typing import Literal

from pydantic import Field

from headrace.connectors.sql.column_values import Epoch
from headrace.connectors.sql.connection_config import SqlConnectionConfig
from headrace.runtime.expression import Expression

Rows = Literal["first", "one", "all"]
Write = Literal["upsert", "insert", "update", "delete"]
From = Literal["auto", "event", "debezium"]
WRITING = ("write", "key", "columns", "source", "truncate", "unknown", "epoch")
READING = ("into", "merge", "rows")


class SqlConfig(SqlConnectionConfig):
    """A database, and exactly one of `query`, `execute` and `table`."""

    query: str | None = Field(
        None, description="a statement that gives rows, with parameters written `:name`"
    )
    execute: str | None = Field(
        None, description="a statement that changes something, with parameters written `:name`"
    )
    parameters: dict[str, Expression] = Field(
        default_factory=dict,
        description="the value of each `:name`; one that is not listed is the event's field of that name",
    )
    into: str | None = Field(
        None, description="with `query`: the field that gets what is found", min_length=1
    )
    merge: bool = Field(
        False, description="with `query`: merge the columns of the row into the event; they win"
    )
    rows: Rows = Field(
        "first",
        description="with `query`: first (null when there is none), one (fails unless there is exactly one), or all, as a list",
    )
    table: str | None = Field(None, description="the table to write to, such as public.orders")
    write: Write = Field(
        "upsert",
        description="with `table`: upsert (insert or update), insert, update or delete; null events and deletions of cdc delete",
    )
    key: list[str] = Field(
        default_factory=list,
        description="with `table`: the columns that tell rows apart; otherwise the primary key",
    )
    columns: dict[str, Expression] = Field(
        default_factory=dict,
        description="with `table`: the value of each column; otherwise the fields of the event, or of `after`",
    )
    source: From = Field(
        "auto",
        alias="from",
        description="with `table`: what events are: event (a row), debezium (changes, as cdc gives them), auto (as they look)",
    )
    truncate: Literal["fail", "clear", "ignore"] = Field(
        "fail",
        description="when the source of a cdc was truncated: fail, clear the table (only for topics of one partition), or ignore",
    )
    unknown: Literal["fail", "ignore"] = Field(
        "fail", description="with `table`: fields for which there is no column"
    )
    epoch: Epoch = Field(
        "ms",
        description="with `table`: the unit of numbers for columns of times: ms, us or ns since 1970; dates are days",
    )
    batch: int = Field(
        500, ge=1, le=10_000, description="records in one statement or transaction at most"
    )
