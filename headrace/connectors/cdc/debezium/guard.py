"""Looks at PostgreSQL's slot before the engine begins: a slot that somebody has moved on is a loss that the engine does not see.

Runs in the engine's process, over the engine's own driver.
"""

import json
from collections.abc import Mapping
from typing import Any

import jpype

from headrace.connectors.cdc.debezium.frames import Offsets

SLOT_AHEAD = "slot_ahead"
_QUERY = """
    SELECT confirmed_flush_lsn::text, confirmed_flush_lsn - '0/0'::pg_lsn
    FROM pg_replication_slots WHERE slot_name = ? AND confirmed_flush_lsn IS NOT NULL
"""


def stored_lsn(offsets: Offsets) -> int | None:
    """The position that is committed to Kafka; None before a snapshot is complete."""
    for _, value in offsets:
        offset = json.loads(value)
        if offset and "lsn" in offset and offset.get("snapshot") in (None, False, "false"):
            return int(offset["lsn"])
    return None


def slot_loss(properties: Mapping[str, str], offsets: Offsets) -> str:
    """What is wrong with the slot, in words; empty where nothing is, and for other databases.

    What cannot be asked is left to the engine, which tells of it in its own words.
    """
    stored = stored_lsn(offsets)
    if not properties["connector.class"].endswith(".PostgresConnector") or stored is None:
        return ""
    found = _confirmed(properties)
    if found is None or found[1] <= stored:
        return ""
    at = f"{stored >> 32:X}/{stored & 0xFFFFFFFF:X}"
    return (
        f"slot '{properties['slot.name']}' is at {found[0]}, ahead of the stored position {at}:"
        " somebody has moved it on, and the changes in between were never captured"
    )


def _confirmed(properties: Mapping[str, str]) -> tuple[str, int] | None:
    manager = jpype.JClass("java.sql.DriverManager")
    login = jpype.JClass("java.util.Properties")()
    for name in ("user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"):
        if value := properties.get(f"database.{name}"):
            login.setProperty(name, value)
    host, port, name = (properties[f"database.{part}"] for part in ("hostname", "port", "dbname"))
    try:
        connection: Any = manager.getConnection(f"jdbc:postgresql://{host}:{port}/{name}", login)
    except jpype.JException:
        return None
    try:
        statement = connection.prepareStatement(_QUERY)
        statement.setString(1, properties["slot.name"])
        rows = statement.executeQuery()
        return (str(rows.getString(1)), int(rows.getLong(2))) if rows.next() else None
    finally:
        connection.close()
