"""Changes out of the replication stream, in the order of commits."""

from collections import deque
from struct import Struct

import orjson

from headrace.connectors.cdc.errors import StopAskedError
from headrace.connectors.cdc.postgres import pgoutput
from headrace.connectors.cdc.postgres.captured import Captured
from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.envelope import Envelope, change
from headrace.connectors.cdc.postgres.layout import UNCHANGED, Layout
from headrace.connectors.cdc.postgres.outbox import OutboxRouter
from headrace.connectors.cdc.postgres.replication import Replication
from headrace.connectors.cdc.source import Changes, Position, SourcePlace
from headrace.connectors.cdc.tables import message_topic

_lsn = Struct(">Q").unpack_from
_relation = Struct(">I").unpack_from
_DATA, _KEEPALIVE = b"wk"
_HEADER = 25
_REMEMBERED = 10_000
_CONFIRM_S = 5.0
_NEW, _KEY, _OLD = b"NKO"


class Table:
    """A table of the stream: its layout, and the form of its `source` filled for the transaction."""

    def __init__(self, layout: Layout, form: bytes) -> None:
        self.layout = layout
        self.form = form
        self.block = b""
        self.transaction = -1


class Stream:
    """Reads messages and writes their changes. Belongs to a source."""

    def __init__(
        self,
        place: SourcePlace,
        sql: Sql,
        replication: Replication,
        captured: Captured,
        envelope: Envelope,
        position: Position,
    ) -> None:
        self._place = place
        self._config = place.config
        self._sql = sql
        self._replication = replication
        self._captured = captured
        self._envelope = envelope
        self._router = OutboxRouter(place) if place.config.outbox is not None else None
        self._tables: dict[int, Table | None] = {}
        self.reached: int = position.after["lsn"]
        self._confirmed = self.reached
        self._next_confirm_s = 0.0
        self.transactions: deque[int] = deque(maxlen=_REMEMBERED)
        # of the transaction that is being read
        self._is_inside = self._is_passed = False
        self._commit_lsn = self._timestamp_ms = self._transaction = 0
        self._index = self._sent = 0
        self._now_ms = 0

    def poll(self, changes: Changes, timeout_s: float) -> None:
        """See `ChangeSource.poll`."""
        get_data, clock = self._replication.get_data, self._place.clock
        deadline_s = clock.monotonic_s() + timeout_s
        self._now_ms = clock.now_ms()
        has_come = False
        while not changes.is_full:
            size, data = get_data(1)
            if size > 0:
                has_come = True
                if data[0] == _DATA:
                    self._take(bytes(data), changes)
                elif data[0] == _KEEPALIVE:
                    self._answer(bytes(data), changes)
            elif size == 0:
                now_s = clock.monotonic_s()
                if now_s >= self._next_confirm_s:
                    self.confirm(self._confirmed)
                left_s = 0.0 if has_come else deadline_s - now_s
                if not self._replication.wait(left_s):
                    return
                self._now_ms = clock.now_ms()
            else:
                raise self._replication.ended()

    def confirm(self, lsn: int) -> None:
        """Tell the server that it may forget everything before `lsn`; also that somebody is there."""
        self._confirmed = lsn
        self._next_confirm_s = self._place.clock.monotonic_s() + _CONFIRM_S
        self._replication.confirm(max(self.reached, lsn), lsn)

    def _answer(self, data: bytes, changes: Changes) -> None:
        """A sign of life: everything of the log before its place was sent."""
        end: int = _lsn(data, 1)[0]
        if not self._is_inside and end > self.reached:
            self.reached = end
            changes.end({"lsn": end})
        if data[17]:
            changes.hurry()
            self.confirm(self._confirmed)

    # Messages

    def _take(self, data: bytes, changes: Changes) -> None:
        kind = data[_HEADER]
        if (
            kind == pgoutput.INSERT or kind == pgoutput.UPDATE or kind == pgoutput.DELETE
        ):  # faster than a set
            self._row(kind, data, changes)
        elif kind == pgoutput.BEGIN:
            self._begin(data[_HEADER:], changes)
        elif kind == pgoutput.COMMIT:
            self._commit(data[_HEADER:], changes)
        elif kind == pgoutput.RELATION:
            self._relation(data[_HEADER:])
        elif kind == pgoutput.TRUNCATE:
            self._truncate(data, changes)
        elif kind == pgoutput.MESSAGE:
            self._message(data[_HEADER:], changes)

    def _begin(self, data: bytes, changes: Changes) -> None:
        self._commit_lsn, self._timestamp_ms, self._transaction = pgoutput.read_begin(data)
        self._is_inside = True
        self._is_passed = self._commit_lsn < self.reached
        self._index = 0
        self.transactions.append(self._transaction)
        if not self._is_passed:
            self._sent = changes.begin(f"{self._commit_lsn}:{self._transaction}")

    def _commit(self, data: bytes, changes: Changes) -> None:
        end = pgoutput.read_commit(data)
        self._is_inside = False
        if not self._is_passed:
            self.reached = end
            changes.end({"lsn": end})

    def _relation(self, data: bytes) -> None:
        relation = pgoutput.read_relation(data)
        layout = self._captured.layout_of(self._sql, relation)
        before = self._tables.get(relation.oid)
        if layout is None:
            self._tables[relation.oid] = None
            return
        if (
            before is not None
            and self._config.on_schema_change == "fail"
            and [one[:2] for one in before.layout.columns] != [one[:2] for one in layout.columns]
        ):
            raise StopAskedError(
                "schema_changed",
                f"the columns of {layout.name} changed from {', '.join(before.layout.names)} to {', '.join(layout.names)};"
                " see to what reads them and start again, or set 'on_schema_change: continue'",
            )
        if self._router is not None:
            self._router.check(layout)
        self._tables[relation.oid] = Table(layout, self._envelope.table(layout.name))

    def _row(self, kind: int, data: bytes, changes: Changes) -> None:
        if self._is_passed:
            return
        index = self._index
        self._index = index + 1
        if index < self._sent:
            return
        table = self._tables[_relation(data, _HEADER + 1)[0]]
        if table is not None:
            if table.transaction != self._transaction:
                table.block = table.form % (
                    self._timestamp_ms,
                    self._transaction,
                    self._commit_lsn,
                )
                table.transaction = self._transaction
            if self._router is not None:
                if kind == pgoutput.INSERT:
                    self._route(table.layout, data, changes)
            elif kind == pgoutput.INSERT:
                self._insert(table, data, changes, index)
            elif kind == pgoutput.UPDATE:
                self._update(table, data, changes, index)
            else:
                self._delete(table, data, changes, index)
        changes.changed()

    def _value(
        self, op: bytes, before: bytes, after: bytes, table: Table, data: bytes, index: int
    ) -> bytes:
        lsn = _lsn(data, 1)[0]
        return change(op, before, after, table.block, lsn, index, self._now_ms)

    def _insert(self, table: Table, data: bytes, changes: Changes, index: int) -> None:
        layout = table.layout
        row, _, _ = pgoutput.read_row(data, _HEADER + 6, layout.converters)
        value = self._value(b"c", b"null", layout.row(row), table, data, index)
        self._write(changes, layout, layout.key_of(row), value)

    def _update(self, table: Table, data: bytes, changes: Changes, index: int) -> None:
        layout = table.layout
        mark, at = data[_HEADER + 5], _HEADER + 6
        old: list[bytes] | None = None
        before = b"null"
        if mark != _NEW:
            old, at, _ = pgoutput.read_row(data, at, layout.converters)
            before = layout.row(old) if mark == _OLD else layout.identity_row(old)
            at += 1
        row, _, is_whole = pgoutput.read_row(data, at, layout.converters)
        if not is_whole:
            row = layout.completed(row, old if mark == _OLD else None)
        after, key = layout.row(row), layout.key_of(row)
        old_key = layout.key_of(old) if old is not None else key
        if old_key == key:
            self._write(changes, layout, key, self._value(b"u", before, after, table, data, index))
            return
        # A row under another key is another record: the old one ends, a new one begins.
        gone = self._value(b"d", before, b"null", table, data, index)
        self._write_delete(changes, layout, old_key, gone)
        self._write(changes, layout, key, self._value(b"c", b"null", after, table, data, index))

    def _delete(self, table: Table, data: bytes, changes: Changes, index: int) -> None:
        layout = table.layout
        mark = data[_HEADER + 5]
        old, _, _ = pgoutput.read_row(data, _HEADER + 6, layout.converters)
        before = layout.row(old) if mark == _OLD else layout.identity_row(old)
        value = self._value(b"d", before, b"null", table, data, index)
        self._write_delete(changes, layout, layout.key_of(old), value)

    def _write(self, changes: Changes, layout: Layout, key: bytes | None, value: bytes) -> None:
        changes.write(layout.topic, key, value, self._timestamp_ms, 0 if key is None else -1)

    def _write_delete(
        self, changes: Changes, layout: Layout, key: bytes | None, value: bytes
    ) -> None:
        self._write(changes, layout, key, value)
        if key is not None and self._config.tombstones:
            changes.write(layout.topic, key, None, self._timestamp_ms)

    def _route(self, layout: Layout, data: bytes, changes: Changes) -> None:
        assert self._router is not None
        row, _, _ = pgoutput.read_row(data, _HEADER + 6, layout.converters)
        assert UNCHANGED not in row, "an inserted row is whole"
        record = self._router.record(layout, row, self._timestamp_ms)
        changes.write(*record)

    # What is not about rows

    def _truncate(self, data: bytes, changes: Changes) -> None:
        if self._is_passed:
            return
        for oid in pgoutput.read_truncate(data[_HEADER:]):
            index = self._index
            self._index = index + 1
            if index < self._sent:
                continue
            table = self._tables.get(oid)
            if table is not None and self._router is None:
                self._emptied(table, data, changes, index)
            changes.changed()

    def _emptied(self, table: Table, data: bytes, changes: Changes, index: int) -> None:
        layout = table.layout
        if self._config.truncate == "ignore":
            return
        if self._config.truncate == "fail":
            raise StopAskedError(
                "truncated",
                f"table {layout.name} was truncated, and 'truncate: fail' asks to stop; set it to emit or ignore to go on",
            )
        table.block = table.form % (self._timestamp_ms, self._transaction, self._commit_lsn)
        value = self._value(b"t", b"null", b"null", table, data, index)
        key = b"{}" if self._config.cleanup == "compact" else None
        for partition in range(self._place.partitions(layout.topic)):
            changes.write(layout.topic, key, value, self._timestamp_ms, partition)

    def _message(self, data: bytes, changes: Changes) -> None:
        message = pgoutput.read_message(data)
        if message.is_transactional:
            if self._is_passed:
                return
            index = self._index
            self._index = index + 1
            if index < self._sent:
                return
        elif message.lsn < self.reached or self._is_inside:
            return
        else:
            self._timestamp_ms, self._transaction = self._now_ms, 0
            self._commit_lsn = message.lsn
            if changes.begin(f"{message.lsn}:message"):
                return
        if message.prefix in self._config.messages:
            envelope = self._envelope.message(
                self._commit_lsn, self._timestamp_ms, self._transaction, message.lsn, self._now_ms
            )
            key = orjson.dumps({"prefix": message.prefix})
            value = envelope.value(message.prefix, message.content)
            changes.write(message_topic(self._place.prefix), key, value, self._timestamp_ms)
        changes.changed()
        if not message.is_transactional:
            self.reached = message.lsn + 1
            changes.end({"lsn": self.reached})
