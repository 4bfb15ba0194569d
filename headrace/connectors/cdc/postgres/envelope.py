"""Debezium's envelope of PostgreSQL's changes, as bytes.

`source` adds to Debezium's fields `commit_lsn` and `index`, the change's number within its transaction from 0 on.
"""

from base64 import b64encode
from importlib.metadata import version

import orjson

from headrace.connectors.cdc.tables import TableName

_FORM = b'{"before":%b,"after":%b,"source":%b,"op":"%b","ts_ms":%d,"transaction":null}'


class Envelope:
    """Makes the values of one topic prefix and database."""

    def __init__(self, prefix: str, dbname: str) -> None:
        head = orjson.dumps(
            {"version": version("headrace"), "connector": "postgresql", "name": prefix}
        )
        self._head = head[:-1].replace(b"%", b"%%")
        self._database = orjson.dumps(dbname).replace(b"%", b"%%")

    def _source(self, name: TableName | None, snapshot: bytes) -> bytes:
        """Source of a block with gaps for the time and what follows the table."""
        schema, table = (name.schema, name.table) if name else ("", "")
        names = b'"schema":%b,"table":%b' % (orjson.dumps(schema), orjson.dumps(table))
        return b'%b,"ts_ms":%%d,"snapshot":"%b","db":%b,%b,' % (
            self._head,
            snapshot,
            self._database,
            names.replace(b"%", b"%%"),
        )

    def snapshot(
        self, name: TableName, lsn: int, now_ms: int, *, is_incremental: bool
    ) -> "SnapshotEnvelope":
        """For rows that were read at one moment."""
        form = self._source(name, b"incremental" if is_incremental else b"true")
        source = form % now_ms + b'"txId":null,"lsn":%d,"commit_lsn":%d,"index":0}' % (lsn, lsn)
        return SnapshotEnvelope(source, now_ms)

    def table(self, name: TableName) -> bytes:
        """A form for `transaction`, to be kept with the table."""
        return self._source(name, b"false") + b'"txId":%d,"commit_lsn":%d,'

    def message(
        self, commit_lsn: int, timestamp_ms: int, transaction: int, lsn: int, now_ms: int
    ) -> "MessageEnvelope":
        """For a logical message."""
        form = self._source(None, b"false") + b'"txId":%d,"commit_lsn":%d,'
        block = form % (timestamp_ms, transaction, commit_lsn)
        return MessageEnvelope(block + b'"lsn":%d,"index":0}' % lsn, now_ms)


class SnapshotEnvelope:
    """Makes values of rows that were read at one moment."""

    def __init__(self, source: bytes, now_ms: int) -> None:
        self._tail = b',"source":%b,"op":"r","ts_ms":%d,"transaction":null}' % (source, now_ms)
        self.timestamp_ms = now_ms

    def value(self, row: bytes) -> bytes:
        return b'{"before":null,"after":' + row + self._tail


class MessageEnvelope:
    """Makes the value of one logical message."""

    def __init__(self, source: bytes, now_ms: int) -> None:
        self._tail = b'"source":%b,"op":"m","ts_ms":%d,"transaction":null}' % (source, now_ms)

    def value(self, prefix: str, content: bytes) -> bytes:
        message = orjson.dumps({"prefix": prefix, "content": b64encode(content).decode()})
        return b'{"message":%b,%b' % (message, self._tail)


def change(
    op: bytes, before: bytes, after: bytes, block: bytes, lsn: int, index: int, now_ms: int
) -> bytes:
    """The value of a change; `block` is the form of `Envelope.table`, filled for the transaction."""
    source = b'%b"lsn":%d,"index":%d}' % (block, lsn, index)
    return _FORM % (before, after, source, op, now_ms)
