"""PostgreSQL as a source of changes: logical replication through `pgoutput`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from headrace.connectors.cdc.connection_settings import address
from headrace.connectors.cdc.errors import (
    CaptureError,
    ConditionRefusedError,
    DatabaseUnavailableError,
)
from headrace.connectors.cdc.postgres import guards
from headrace.connectors.cdc.postgres.captured import Captured
from headrace.connectors.cdc.postgres.check import findings
from headrace.connectors.cdc.postgres.connection import Sql, literal, quoted, refusal
from headrace.connectors.cdc.postgres.envelope import Envelope
from headrace.connectors.cdc.postgres.lsn import View, parse_lsn
from headrace.connectors.cdc.postgres.publication import Publication, Published
from headrace.connectors.cdc.postgres.replication import Replication
from headrace.connectors.cdc.postgres.slot import Slot
from headrace.connectors.cdc.postgres.snapshot import TableReader
from headrace.connectors.cdc.postgres.stream import Stream
from headrace.connectors.cdc.source import (
    Changes,
    Chunk,
    Position,
    SnapshotRow,
    SourcePlace,
    SourceTable,
)
from headrace.connectors.cdc.tables import TableName
from headrace.runtime.contracts.capture import Finding

_NAME_MAX = 63
_NOT_IN_SLOTS = re.compile(r"[^a-z0-9_]")
_VISIBLE_PAUSE_S = 0.01


def slot_name(name: str) -> str:
    """The name of a slot and a publication out of the name of a feed."""
    return _NOT_IN_SLOTS.sub("_", name.lower())[:_NAME_MAX]


class PostgresSource:
    """See `cdc.source.ChangeSource`. Needs PostgreSQL 13 or later."""

    def __init__(self, place: SourcePlace) -> None:
        config = place.config
        self._place = place
        self._config = config
        self._address = address(place.settings)
        self._application = slot_name(place.name)
        self._slot_name = config.slot or self._application
        self._publication_name = config.publication or self._application
        self._captured = Captured(place)
        self._sql_: Sql | None = None
        self._view: Sql | None = None
        self._replication: Replication | None = None
        self._stream: Stream | None = None
        self._identity: dict[str, Any] = {}
        self._begin_lsn = 0
        self._barriers: dict[TableName, int] = {}  # of tables that were added

    @property
    def _sql(self) -> Sql:
        assert self._sql_ is not None, "open comes first"
        return self._sql_

    @property
    def _slot(self) -> Slot:
        return Slot(self._sql, self._slot_name)

    @property
    def _publication(self) -> Publication:
        return Publication(self._sql, self._publication_name, self._config)

    # The beginning

    def open(self) -> None:
        self._sql_ = Sql(self._address, f"{self._application}_sql"[:_NAME_MAX])
        guards.check_server(self._sql)
        dbname = self._sql.value("select current_database()")
        system = self._sql.value("select system_identifier::text from pg_control_system()")
        self._identity = {
            "connector": "postgresql",
            "system": system,
            "database": dbname,
            "slot": self._slot_name,
        }
        self._envelope = Envelope(self._place.prefix, dbname)
        self._captured.refresh(self._sql)

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def begin(self, *, again: bool) -> Mapping[str, Any]:
        if self._captured.missing:
            raise CaptureError(
                "table_missing",
                f"table {', '.join(map(str, self._captured.missing))} does not exist in {self._address}, or the user may not"
                " see it; create it first, or take it out of 'tables'",
            )
        slot = self._slot
        row = slot.read()
        if row is not None:
            if not again:
                raise CaptureError(
                    "slot_taken",
                    f"replication slot '{slot.name}' is there already, but no position of this stage: it belongs to another"
                    " capture, or the topic of the positions was deleted; drop it with `headrace cdc drop-slot`, or set"
                    " 'slot' to another name",
                )
            guards.free_slot(slot, self._application)
            slot.drop()
        self._publication.prepare(self._captured.tables, again=again)
        self._replication = Replication(self._address, self._application, self._place.clock)
        self._begin_lsn, view = self._replication.create_slot(
            slot.name, self._place.stopped, self._tell_of_oldest
        )
        self._view = Sql(self._address, f"{self._application}_snapshot"[:_NAME_MAX])
        self._view.rows("begin isolation level repeatable read, read only")
        self._view.rows(f"set transaction snapshot {literal(view)}")
        self._replication.close()
        self._replication = None
        self._captured.refresh(self._sql)
        return {"lsn": self._begin_lsn}

    def verify(self, identity: Mapping[str, Any], position: Position, known: Sequence[str]) -> None:
        guards.check_identity(identity, self._identity)
        lsn: int = position.after["lsn"]
        slot = self._slot
        guards.check_log(self._sql, lsn)
        guards.check_slot(slot, slot.read(), self._identity["database"], lsn)
        guards.check_published(self._publication, known, self._existing)

    def _existing(self) -> Iterable[TableName]:
        self._captured.look(self._sql)
        return self._captured.tables

    # Tables

    def tables(self) -> Sequence[SourceTable]:
        return self._captured.source_tables()

    def added(self, known: Sequence[str]) -> Sequence[SourceTable]:
        self._captured.refresh(self._sql)
        if self._config.publication_mode == "filtered":
            self._publication.remove(self._captured.not_chosen(self._publication.tables()))
        new = [name for name in self._captured.tables if str(name) not in known]
        if not new:
            return []
        publication = self._publication
        if self._config.publication_mode == "existing":
            publication.check_tables(new)
        else:
            sent = publication.tables()
            publication.add([name for name in new if name not in sent])
        # What transactions that run now wrote to the tables before is not in the stream: their rows are read when these are over
        # (test_a_transaction_that_runs_while_a_table_is_added_is_not_lost).
        barrier = View.parse(self._sql.value("select pg_current_snapshot()::text")).high
        self._barriers |= dict.fromkeys(new, barrier)
        return [table for table in self.tables() if table.name in new]

    def _tell_of_oldest(self) -> None:
        """Say whose transaction everything waits for."""
        found = self._sql.one(
            "select pid, application_name, (extract(epoch from now() - xact_start))::int8 from pg_stat_activity"
            " where xact_start is not null and pid <> pg_backend_pid() and application_name <> %s"
            " and backend_type = 'client backend' order by xact_start limit 1",
            [self._application],
        )
        if found is not None:
            process, name, seconds = found
            self._place.tell(
                f"waits for transactions that are running; the oldest is that of process {process} ('{name}'), which began"
                f" {seconds} s ago"
            )

    # Snapshots

    def _reader(
        self, table: SourceTable, lsn: int, where: str | None, *, is_incremental: bool
    ) -> TableReader:
        found = self._captured.tables.get(table.name)
        if found is None:
            raise DatabaseUnavailableError(f"table {table.name} was dropped while it was read")
        published = self._publication.tables().get(table.name, Published())
        envelope = self._envelope.snapshot(
            table.name, lsn, self._place.clock.now_ms(), is_incremental=is_incremental
        )
        return TableReader(self._captured, found, published, where, envelope)

    def snapshot(
        self, table: SourceTable, where: str | None
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        assert self._view is not None, "begin comes first"
        reader = self._reader(table, self._begin_lsn, where, is_incremental=False)
        return reader.all(self._view, self._config.snapshot_rows)

    def end_snapshot(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None
        if self._config.snapshot == "only":
            self._slot.drop()
            self._publication.drop()

    def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk | None:
        assert self._stream is not None, "start comes first"
        sql = self._sql
        while True:
            sql.rows("begin isolation level repeatable read, read only")
            view = View.parse(sql.value("select pg_current_snapshot()::text"))
            if all(view.sees(one) for one in self._stream.transactions):
                break
            sql.rows("rollback")
            self._place.clock.sleep(_VISIBLE_PAUSE_S)
        if view.low < self._barriers.get(table.name, 0):
            sql.rows("rollback")
            return None
        self._barriers.pop(table.name, None)
        self._stream.transactions.clear()
        lsn = parse_lsn(sql.value("select pg_current_wal_lsn()::text"))
        self._captured.look(sql)  # its columns may have changed
        reader = self._reader(table, lsn, where, is_incremental=True)
        try:
            rows, behind = reader.some(sql, cursor, count)
        except (CaptureError, DatabaseUnavailableError) as error:
            if where is not None and (reason := refusal(error)):
                sql.rows("rollback")
                self._reader(table, lsn, None, is_incremental=True).plan(sql)
                raise ConditionRefusedError(reason) from error
            raise
        sql.rows("commit")
        # Written and flushed after the view was taken, so that the stream comes past everything the view has seen.
        until = parse_lsn(
            sql.value("select pg_logical_emit_message(true, 'headrace', 'chunk')::text")
        )
        return Chunk(rows, behind, until)

    def try_condition(self, table: SourceTable, where: str) -> None:
        name = quoted(table.name.schema, table.name.table)
        self._sql.rows(f"explain select 1 from {name} t where ({where})")  # noqa: S608 # the user's own condition

    def has_reached(self, until: Any) -> bool:
        assert self._stream is not None, "start comes first"
        return self._stream.reached >= int(until)

    # The stream

    def start(self, position: Position) -> None:
        guards.free_slot(self._slot, self._application)
        self._replication = Replication(self._address, self._application, self._place.clock)
        self._replication.start(
            self._slot_name,
            self._publication_name,
            position.after["lsn"],
            with_messages=bool(self._config.messages),
        )
        self._stream = Stream(
            self._place, self._sql, self._replication, self._captured, self._envelope, position
        )

    def poll(self, changes: Changes, timeout_s: float) -> None:
        assert self._stream is not None, "start comes first"
        self._stream.poll(changes, timeout_s)

    def confirm(self, position: Position) -> None:
        assert self._stream is not None, "start comes first"
        self._stream.confirm(position.after["lsn"])

    def heartbeat(self, known: Sequence[str]) -> None:
        if self._config.heartbeat_sql:
            self._sql.rows(self._config.heartbeat_sql)
        guards.check_published(self._publication, known, self._existing)
        limit = self._config.log_bytes_max
        row = self._slot.read()
        if limit is None or row is None or (row.log_bytes or 0) <= limit:
            return
        if self._config.on_log_bytes == "drop":
            assert self._replication is not None
            self._replication.close()
            guards.free_slot(self._slot, self._application)
            self._slot.drop()
            raise CaptureError(
                "log_too_large",
                f"the database kept {row.log_bytes:,} bytes of log for slot '{self._slot_name}', more than 'log_bytes_max', and"
                f" 'on_log_bytes: drop' has dropped it; {guards.AGAIN}",
            )

    # What others see

    def figures(self) -> Mapping[str, float]:
        row = self._slot.read()
        if row is None:
            return {}
        return {"lag_bytes": row.lag_bytes or 0, "log_bytes": row.log_bytes or 0}

    def notes(self) -> Sequence[str]:
        found = [f"table {name} does not exist" for name in self._captured.missing]
        if self._barriers:
            names = ", ".join(map(str, self._barriers))
            found.append(f"{names} is read when transactions that were running are over")
        limit, row = self._config.log_bytes_max, self._slot.read()
        if row is None:
            found.append(f"replication slot '{self._slot_name}' does not exist")
        if limit is not None and row is not None and (row.log_bytes or 0) > limit:
            found.append(
                f"the database keeps {row.log_bytes:,} bytes of log for us, more than 'log_bytes_max'"
            )
        return found

    def check(self) -> Sequence[Finding]:
        return findings(
            self._address, self._captured, self._config, self._slot_name, self._publication_name
        )

    def drop(self) -> Sequence[str]:
        removed = []
        guards.free_slot(self._slot, self._application)
        if self._slot.drop():
            removed.append(f"replication slot '{self._slot_name}'")
        if self._publication.drop():
            removed.append(f"publication '{self._publication_name}'")
        return removed

    def close(self) -> None:
        for one in (self._replication, self._view, self._sql_):
            if one is not None:
                one.close()
        self._replication = self._view = self._sql_ = self._stream = None
