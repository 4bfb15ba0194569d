"""The config of `cdc`: which database, which tables, and what their changes look like."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from headrace.connectors.cdc.engine_options import ConnectOptions, DebeziumOptions
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Template

Database = Literal["postgresql", "mysql", "mariadb"]
SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mariadb",
}
_GIVEN = re.compile(r"\$\{[^}]*\}")
_LATER = "\x7f"
"""Stands for what only the worker knows."""


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
"""One name, or a list of names."""


class Columns(ActionConfig):
    """Which columns of a table are captured, and which of them without their content."""

    include: Names = Field((), description="only these columns, and those of the key")
    exclude: Names = Field((), description="all but these columns")
    mask: Names = Field(
        (), description="columns whose values are replaced by `***`; null stays null"
    )


class Outbox(ActionConfig):
    """The outbox pattern: rows inserted into a table are messages, routed to topics by one of their columns."""

    topic: str = Field(
        "outbox.event.{type}", description="the topic; `{type}` is the value of `route`"
    )
    id: str = Field(
        "id", description="the column of the message's id, which becomes the header `id`"
    )
    route: str = Field("aggregatetype", description="the column that chooses the topic")
    key: str = Field("aggregateid", description="the column of the record's key")
    type: str = Field("type", description="the column of the event's type, which becomes a header")
    payload: str = Field("payload", description="the column of the record's value")
    timestamp: str | None = Field(
        None, description="a column with the event time; otherwise the time of the commit"
    )
    headers: Names = Field((), description="further columns that become headers")


class CdcConfig(ActionConfig):
    """A database whose changes start runs."""

    engine: Literal["native", "connect", "debezium"] = Field(
        "native",
        description="who reads the database: headrace, a connector in somebody's Kafka Connect, or the embedded Debezium engine",
    )
    database: Database | None = Field(
        None, description="the kind of database; known from `url` where it begins with it"
    )
    url: Template | None = Field(
        None, description="such as `postgresql://reader:${secret.PASSWORD}@db:5432/shop`"
    )
    host: Template | None = Field(None, description="in place of `url`: the server")
    port: Template | None = Field(
        None, description="its port; the database's usual one when left out"
    )
    user: Template | None = Field(None, description="a user that may replicate")
    password: Template | None = Field(None, description="such as `${secret.PASSWORD}`")
    dbname: Template | None = Field(None, description="the database on the server")
    options: Mapping[str, Template] = Field(
        {}, description="further options of the connection, such as `sslmode`, `sslrootcert`"
    )
    tables: Names = Field(
        (),
        description="the tables, as `schema.table` (`public` when left out, in MySQL the database of `url`); `*` and `?` stand"
        " for any text and any sign",
    )
    exclude: Names = Field((), description="tables that are left out all the same")
    columns: Mapping[str, Columns] = Field({}, description="per table, which columns are captured")
    keys: Mapping[str, Names] = Field(
        {}, description="per table, the columns of the key in place of the primary key"
    )
    topic_prefix: str | None = Field(
        None,
        description="topics are `<topic_prefix>.<schema>.<table>`; `<flow>.<stage>` when left out",
    )
    partitions: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="partitions of new topics; the worker's setting when left out",
    )
    cleanup: Literal["delete", "compact"] = Field(
        "delete",
        description="new topics keep records as long as the broker says, or the last record of each key for ever",
    )
    snapshot: Literal["initial", "never", "only", "always", "when_needed"] = Field(
        "initial",
        description="read the rows that are there: once, never, once and nothing else, at each start, or also after a loss",
    )
    snapshot_rows: int = Field(
        10_000, ge=1, le=1_000_000, description="rows of a snapshot in one transaction"
    )
    snapshot_where: Mapping[str, str] = Field(
        {}, description="per table, an SQL condition that rows of a snapshot meet"
    )
    slot: str | None = Field(
        None,
        description="PostgreSQL: the replication slot; made of the names of flow and stage when left out",
    )
    publication: str | None = Field(
        None,
        description="PostgreSQL: the publication; made of the names of flow and stage when left out",
    )
    publication_mode: Literal["filtered", "existing", "all"] = Field(
        "filtered",
        description="PostgreSQL: headrace keeps a publication of just these tables, uses one that exists, or makes one of all",
    )
    server_id: int | None = Field(
        None,
        ge=1,
        le=4_294_967_295,
        description="MySQL: the id of this replica; made of the names when left out",
    )
    messages: Names = Field(
        (),
        description="PostgreSQL: prefixes of logical messages to pass on, to `<topic_prefix>.message`",
    )
    truncate: Literal["emit", "ignore", "fail"] = Field(
        "emit", description="what a TRUNCATE does: a record in every partition, nothing, or stop"
    )
    tombstones: bool = Field(True, description="a delete is followed by a record without a value")
    outbox: Outbox | None = Field(
        None, description="the tables are outboxes; `true` for the usual columns"
    )
    decimal: Literal["string", "number"] = Field(
        "string", description="how decimals are written: exactly as text, or as JSON numbers"
    )
    times: Literal["iso", "epoch_ms"] = Field(
        "iso",
        description="how times are written: as ISO 8601, or as ms (dates as days) since 1970",
    )
    json_values: Literal["text", "value"] = Field(
        "text",
        description="how JSON columns are written: as text, as Debezium does, or as part of the row",
    )
    unavailable: str = Field(
        "__debezium_unavailable_value",
        description="stands for a large value that did not change and that PostgreSQL therefore does not send",
    )
    on_schema_change: Literal["continue", "fail"] = Field(
        "continue",
        description="when the columns of a table change: go on with the new ones, or stop",
    )
    batch_rows: int = Field(
        5_000,
        ge=1,
        le=100_000,
        description="changes in one Kafka transaction at most; larger ones are split",
    )
    batch_bytes: int = Field(
        8_000_000, ge=1_000, description="bytes in one Kafka transaction, roughly, at most"
    )
    message_bytes_max: int = Field(
        1_000_000, ge=1_000, description="larger records are refused; the topic must allow them too"
    )
    heartbeat: Duration = Field(
        timedelta(seconds=10),
        description="so often the position goes on while other tables are written, so that the database can delete its log",
    )
    heartbeat_sql: str | None = Field(
        None, description="run in the database with every heartbeat; rarely needed"
    )
    log_bytes_max: int | None = Field(
        None,
        ge=1_000_000,
        description="how much log the database may keep for this stage; above it the state says so, and `on_log_bytes` decides",
    )
    on_log_bytes: Literal["warn", "drop"] = Field(
        "warn",
        description="above `log_bytes_max`: only say so, or drop the slot to save the database's disk and stop",
    )
    retry_pause_max: Duration = Field(
        timedelta(seconds=5), description="the longest pause between attempts to reach the database"
    )
    connect: ConnectOptions | None = Field(
        None, description="`engine: connect`: the Kafka Connect cluster"
    )
    debezium: DebeziumOptions | None = Field(
        None, description="`engine: debezium`: the embedded engine"
    )
    connector_class: str | None = Field(
        None,
        description="`connect` and `debezium`: the connector's class, where `database` does not tell it",
    )
    properties: Mapping[str, Template] = Field(
        {}, description="`connect` and `debezium`: further properties of the connector"
    )

    @model_validator(mode="before")
    @classmethod
    def _outbox(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("outbox"), bool):
            return {**value, "outbox": {} if value["outbox"] else None}
        return value

    @model_validator(mode="after")
    def _with_schemas(self) -> Self:
        """Give the tables of MySQL and MariaDB the names in full; those of PostgreSQL get `public` where they are used."""
        if self.kind not in ("mysql", "mariadb") or not self.schema_name:
            return self
        for field in ("tables", "exclude"):
            self.__dict__[field] = tuple(map(self.full_name, getattr(self, field)))
        for field in ("columns", "keys", "snapshot_where"):
            named = getattr(self, field)
            self.__dict__[field] = {self.full_name(name): one for name, one in named.items()}
        return self

    @property
    def schema_name(self) -> str:
        """What a bare name of a table belongs to: `public`, or the database that MySQL enters; empty where nobody knows yet."""
        if self.kind not in ("mysql", "mariadb"):
            return "public"
        if self.url is None:
            found = self.dbname.value if self.dbname is not None else None
        else:
            text = self.url.value if isinstance(self.url.value, str) else _LATER
            found = unquote(urlsplit(_GIVEN.sub(_LATER, text)).path.lstrip("/"))
        is_known = isinstance(found, str) and _LATER not in _GIVEN.sub(_LATER, found)
        return str(found) if is_known else ""

    def full_name(self, name: str) -> str:
        """The name of a table, or a pattern, with its schema."""
        is_full = "." in name or not self.schema_name
        return name if is_full else f"{self.schema_name}.{name}"

    @property
    def kind(self) -> Database | None:
        """The kind of database, or None when neither `database` nor the beginning of `url` tells it."""
        if self.database is not None or self.url is None or not isinstance(self.url.value, str):
            return self.database
        scheme, colon, _ = self.url.value.partition("://")
        return SCHEMES.get(scheme) if colon else None  # type: ignore[return-value] # its values are kinds
