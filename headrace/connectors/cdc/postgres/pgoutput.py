"""The messages of PostgreSQL's logical replication (plugin `pgoutput`, protocol version 1).

The formats are those of the chapter "Logical Replication Message Formats" of PostgreSQL's documentation.
"""

from struct import Struct
from typing import NamedTuple

from headrace.connectors.cdc.postgres.layout import UNCHANGED
from headrace.connectors.cdc.postgres.values import Converter

EPOCH_MS = 946_684_800_000
"""2000-01-01 UTC, from which PostgreSQL counts microseconds."""
BEGIN, COMMIT, RELATION, INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE = b"BCRIUDTM"
_TEXT, _NULL, _TOAST = b"tnu"
_begin = Struct(">QqI").unpack_from
_commit = Struct(">QQq").unpack_from
_size = Struct(">I").unpack_from
_count = Struct(">H").unpack_from
_column = Struct(">Ii").unpack_from


class Begin(NamedTuple):
    """`commit_lsn` is where the record of the commit begins."""

    commit_lsn: int
    timestamp_ms: int
    transaction: int


class RelationColumn(NamedTuple):
    """A column of a relation; `is_identity` where it is among what identifies an old row."""

    name: str
    type: int
    is_identity: bool


class Relation(NamedTuple):
    """A table as it is from now on."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[RelationColumn, ...]


class LogicalMessage(NamedTuple):
    """What `pg_logical_emit_message` has written."""

    is_transactional: bool
    lsn: int
    prefix: str
    content: bytes


def read_begin(data: bytes) -> Begin:
    """What a transaction begins with."""
    lsn, microseconds, transaction = _begin(data, 1)
    return Begin(lsn, EPOCH_MS + microseconds // 1000, transaction)


def read_commit(data: bytes) -> int:
    """The end of the transaction."""
    end: int = _commit(data, 2)[1]
    return end


def read_relation(data: bytes) -> Relation:
    """The table that following rows belong to."""
    oid: int = _size(data, 1)[0]
    schema, at = _string(data, 5)
    table, at = _string(data, at)
    identity = chr(data[at])
    count: int = _count(data, at + 1)[0]
    at += 3
    columns = []
    for _ in range(count):
        flags = data[at]
        name, at = _string(data, at + 1)
        type_, _modifier = _column(data, at)
        at += 8
        columns.append(RelationColumn(name, type_, bool(flags & 1)))
    return Relation(oid, schema or "pg_catalog", table, identity, tuple(columns))


def read_truncate(data: bytes) -> list[int]:
    """The tables that were emptied."""
    count: int = _size(data, 1)[0]
    return [_size(data, 6 + 4 * i)[0] for i in range(count)]


def read_message(data: bytes) -> LogicalMessage:
    """A message, from its kind on."""
    lsn = int.from_bytes(data[2:10], "big")
    prefix, at = _string(data, 10)
    size: int = _size(data, at)[0]
    return LogicalMessage(bool(data[1] & 1), lsn, prefix, data[at + 4 : at + 4 + size])


def read_row(
    data: bytes, at: int, converters: tuple[Converter | None, ...]
) -> tuple[list[bytes], int, bool]:
    """The row that begins at `at`, the place behind it, and whether it has values that were not sent."""
    row: list[bytes] = []
    add = row.append
    is_whole = True
    at += 2
    for convert in converters:
        kind = data[at]
        if kind == _TEXT:
            begin = at + 5
            at = begin + _size(data, at + 1)[0]
            add(data[begin:at] if convert is None else convert(data[begin:at]))
        else:
            at += 1
            if kind == _TOAST:
                is_whole = False
                add(UNCHANGED)
            else:
                add(b"null")
    return row, at, is_whole


def column_count(data: bytes, at: int) -> int:
    """How many values the row has that begins at `at`."""
    count: int = _count(data, at)[0]
    return count


def _string(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1
