"""The properties of a Debezium connector, out of the config of a `cdc` stage.

The same for a connector in Kafka Connect and for the embedded engine. Names and values are Debezium's own; its documentation
of each connector says what they do.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.connectors.cdc.config import CdcConfig, Outbox
from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.debezium.settings import address_of, under
from headrace.connectors.cdc.tables import TableName, Tables
from headrace.runtime.errors import SettingsError

CLASSES = {
    "postgresql": "io.debezium.connector.postgresql.PostgresConnector",
    "mysql": "io.debezium.connector.mysql.MySqlConnector",
    "mariadb": "io.debezium.connector.mariadb.MariaDbConnector",
}
SNAPSHOTS = {
    "initial": "initial",
    "never": "no_data",
    "only": "initial_only",
    "always": "always",
    "when_needed": "when_needed",
}
PUBLICATIONS = {"filtered": "filtered", "existing": "disabled", "all": "all_tables"}
HEARTBEAT_PREFIX = "headrace-heartbeat"
"""Begins the topics that hold nothing but how far a connector is."""
_POSTGRES_HEARTBEAT = "SELECT pg_logical_emit_message(false, 'headrace', 'heartbeat')"
_POSTGRES_SSL = ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert")
_PORTS = {"postgresql": "5432", "mysql": "3306", "mariadb": "3306"}
_OWNED = frozenset({"connector.class", "topic.prefix"})


def connector_properties(
    config: CdcConfig, prefix: str, name: str, settings: Mapping[str, Any]
) -> dict[str, str]:
    """The properties of the connector of one stage; those that the user gives come last.

    `name` is `FeedPlace.name`, of which slots, publications and server ids are made.

    Raises:
        SettingsError: the user gives one that headrace decides, or the database's address cannot be read.
    """
    given = {key: str(value) for key, value in under(settings, "properties").items()}
    for key in sorted(_OWNED & given.keys()):
        raise SettingsError(
            f"properties: '{key}' is made of the stage's own settings; use 'connector_class' or 'topic_prefix'"
        )
    address = address_of(settings) or Address("", None, None, None, None, {})
    properties = {
        "connector.class": class_of(config),
        "topic.prefix": prefix,
        "topic.heartbeat.prefix": HEARTBEAT_PREFIX,
        "snapshot.mode": SNAPSHOTS[config.snapshot],
        "decimal.handling.mode": "string" if config.decimal == "string" else "double",
        "time.precision.mode": "isostring" if config.times == "iso" else "connect",
        "tombstones.on.delete": _flag(config.tombstones),
        "skipped.operations": "t" if config.truncate == "ignore" else "none",
        "heartbeat.interval.ms": str(round(config.heartbeat.total_seconds() * 1000)),
        "retriable.restart.connector.wait.ms": "1000",
        "extended.headers.enabled": "false",
        "include.schema.changes": "false",
    }
    for part in (_database, _tables, _rows):
        properties.update(part(config, name, address))
    if config.outbox is not None:
        properties.update(_outbox(config.outbox))
    return {**properties, **given}


def class_of(config: CdcConfig) -> str:
    """The connector's class.

    Raises:
        SettingsError: nothing tells it.
    """
    if config.connector_class is not None:
        return config.connector_class
    if config.kind is None:
        raise SettingsError("needs 'database' or 'connector_class' to know which connector to use")
    return CLASSES[config.kind]


def kind_of_class(config: CdcConfig) -> str:
    """The kind of database of the connector's class, as `CLASSES` names it; empty for others."""
    found = class_of(config)
    return next((kind for kind, known in CLASSES.items() if known == found), "")


def has_many_partitions(config: CdcConfig) -> bool:
    """Whether the connector has a position for each of several sources, such as the databases of a server."""
    return not kind_of_class(config)


def identifier(name: str) -> str:
    """A name as slots and publications can have it: lower-case letters, digits and `_`, at most 63."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())[:63]


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _database(config: CdcConfig, name: str, address: Address) -> Iterator[tuple[str, str]]:
    """Where it is, and what is set up there."""
    parts = {
        "hostname": address.host,
        "port": str(address.port or _PORTS.get(kind_of_class(config), "")),
        "user": address.user,
        "password": address.password,
    }
    yield from ((f"database.{key}", value) for key, value in parts.items() if value)
    kind = kind_of_class(config)
    if kind == "postgresql":
        yield "database.dbname", address.dbname or address.user or ""
        yield "plugin.name", "pgoutput"
        yield "slot.name", config.slot or identifier(name)
        yield "slot.retry.delay.ms", "200"
        yield "publication.name", config.publication or identifier(name)
        yield "publication.autocreate.mode", PUBLICATIONS[config.publication_mode]
        yield "unavailable.value.placeholder", config.unavailable
        yield "heartbeat.action.query", config.heartbeat_sql or _POSTGRES_HEARTBEAT
        if config.messages:
            yield "message.prefix.include.list", ",".join(map(re.escape, config.messages))
        else:
            yield "message.prefix.exclude.list", ".*"
    else:
        if address.dbname and not kind:
            yield "database.names", address.dbname
        if kind:
            yield "database.server.id", str(config.server_id or server_id(name))
        if config.heartbeat_sql:
            yield "heartbeat.action.query", config.heartbeat_sql
    for option, value in address.options.items():
        is_ours = kind == "postgresql" and option in _POSTGRES_SSL
        yield (f"database.{option}" if is_ours else f"driver.{option}"), value


def server_id(name: str) -> int:
    """A replica's id that is the same at every start, and most likely nobody else's."""
    number = 0
    for sign in name.encode():
        number = (number * 131 + sign) % 2_000_000_011
    return 1_000_000_000 + number


def _tables(config: CdcConfig, _: str, __: Address) -> Iterator[tuple[str, str]]:
    """Which tables and columns; one list of each, as Debezium takes either those to include or those to exclude."""
    tables = Tables(config.tables, config.exclude)
    excluded = "|".join(_expression(tables.full(glob)) for glob in config.exclude)
    before = f"(?!(?:{excluded})$)" if excluded else ""
    included = [before + _expression(tables.full(glob)) for glob in config.tables]
    if included:
        yield "table.include.list", ",".join(included)
    left_out = []
    for glob, columns in config.columns.items():
        table = _expression(tables.full(glob))
        left_out += [rf"{table}\.{_expression(column)}" for column in columns.exclude]
        if columns.include:
            kept = "|".join(map(_expression, columns.include))
            left_out.append(rf"{table}\.(?!(?:{kept})$).*")
    if left_out:
        yield "column.exclude.list", ",".join(left_out)
    if config.keys:
        keys = (
            f"{_expression(tables.full(glob))}:{','.join(of)}" for glob, of in config.keys.items()
        )
        yield "message.key.columns", ";".join(keys)


def _expression(glob: str) -> str:
    """A regular expression of Java for a name or pattern; without commas, which would end it."""
    signs = {"*": ".*", "?": ".", ",": r"\x2c", ";": r"\x3b", ":": r"\x3a"}
    return "".join(signs.get(sign) or re.escape(sign) for sign in glob)


def _rows(config: CdcConfig, _: str, __: Address) -> Iterator[tuple[str, str]]:
    yield "snapshot.fetch.size", str(config.snapshot_rows)
    yield "max.batch.size", str(config.batch_rows)
    yield "max.queue.size", str(config.batch_rows * 4)
    yield "poll.interval.ms", "10"
    if config.snapshot_where:
        tables = Tables(config.tables, config.exclude)
        names = [TableName(*tables.full(one).split(".", 1)) for one in config.snapshot_where]
        yield "snapshot.select.statement.overrides", ",".join(map(str, names))
        for table, condition in zip(names, config.snapshot_where.values(), strict=True):
            yield (
                f"snapshot.select.statement.overrides.{table}",
                f"SELECT * FROM {table} WHERE {condition}",  # noqa: S608 # the user's own condition on the user's own database
            )


def _outbox(outbox: Outbox) -> Iterator[tuple[str, str]]:
    """Debezium's router, which turns rows of outbox tables into messages."""
    placed = [f"{outbox.type}:header:type", *(f"{one}:header" for one in outbox.headers)]
    yield "transforms", "outbox"
    router = {
        "type": "io.debezium.transforms.outbox.EventRouter",
        "table.field.event.id": outbox.id,
        "table.field.event.key": outbox.key,
        "table.field.event.payload": outbox.payload,
        "table.fields.additional.placement": ",".join(placed),
        "table.expand.json.payload": "true",
        "route.by.field": outbox.route,
        "route.topic.replacement": outbox.topic.replace("{type}", "${routedByValue}"),
    }
    if outbox.timestamp:
        router["table.field.event.timestamp"] = outbox.timestamp
    yield from ((f"transforms.outbox.{key}", value) for key, value in router.items())


def engine_problems(config: CdcConfig) -> Iterator[str]:
    """What a config asks for that only headrace's own engine does."""
    if config.engine == "native":
        return
    if any(columns.mask for columns in config.columns.values()):
        yield (
            f"engine {config.engine} masks columns of text only, and would show the others; leave columns out with 'exclude',"
            " or set 'column.mask.with.3.chars' in 'properties'"
        )
    if config.json_values == "value":
        yield f"engine {config.engine} writes JSON columns as text; 'json_values: value' needs engine native"
    if config.on_schema_change == "fail":
        yield f"engine {config.engine} goes on when columns change; 'on_schema_change: fail' needs engine native"
    if config.log_bytes_max is not None:
        yield f"engine {config.engine} does not watch the database's log; 'log_bytes_max' needs engine native"
    if config.engine == "connect" and config.truncate == "fail":
        yield "engine connect cannot stop at a TRUNCATE; 'truncate: fail' needs engine native or debezium"
