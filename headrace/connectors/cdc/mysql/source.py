"""MariaDB and MySQL as a source of changes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from headrace.connectors.cdc.config import Columns
from headrace.connectors.cdc.connection_settings import address
from headrace.connectors.cdc.debezium.properties import server_id
from headrace.connectors.cdc.errors import (
    CaptureError,
    ChangesLostError,
    ConditionRefusedError,
    DatabaseUnavailableError,
    StopAskedError,
)
from headrace.connectors.cdc.mysql import checks
from headrace.connectors.cdc.mysql.captured import CapturedTable
from headrace.connectors.cdc.mysql.columns import TableColumns, describe, existing_tables
from headrace.connectors.cdc.mysql.connection import Sql, refusal
from headrace.connectors.cdc.mysql.gtid import Gtids, covers, missing, parse_gtids
from headrace.connectors.cdc.mysql.log_reader import LogReader
from headrace.connectors.cdc.mysql.records import Records
from headrace.connectors.cdc.mysql.shape import Choice, Shape, signature
from headrace.connectors.cdc.mysql.snapshot import ConsistentView, Selection, view_of_mariadb
from headrace.connectors.cdc.mysql.stream import Stream
from headrace.connectors.cdc.mysql.values import Spelling
from headrace.connectors.cdc.source import (
    Changes,
    Chunk,
    Position,
    SnapshotRow,
    SourcePlace,
    SourceTable,
)
from headrace.connectors.cdc.tables import TableName, Tables
from headrace.runtime.contracts.capture import Finding
from headrace.runtime.errors import HeadraceError

_NOTHING = Columns()
_VISIBLE_PAUSE_S = 0.01


class MysqlSource:
    """See `source.ChangeSource`. The position is a set of GTIDs, so that it holds on any server of a replication group."""

    def __init__(self, place: SourcePlace) -> None:
        config = place.config
        self._place = place
        self._config = config
        self._address = address(place.settings)
        self._chosen = Tables(config.tables, config.exclude)
        self._spelling = Spelling(config.decimal, config.times, config.json_values)
        self._is_mariadb = config.kind == "mariadb"
        self._sql: Sql | None = None
        self._view: ConsistentView | None = None
        self._reader: LogReader | None = None
        self._stream: Stream | None = None
        self._tables: dict[TableName, TableColumns] = {}
        self._is_stale = (
            False  # whether a statement may have changed tables since they were described
        )
        self._captured: dict[TableName, tuple[Any, CapturedTable]] = {}
        self._seen: dict[int, tuple[Any, CapturedTable | None]] = {}  # by the log's table id

    # The beginning

    def open(self) -> None:
        self._connect()
        self._describe()
        checks.refuse_errors(checks.setting_findings(self._settings(), is_mariadb=self._is_mariadb))
        found = list(self._tables.values())
        if not found and not self._chosen.has_patterns:
            names = ", ".join(map(str, self._chosen.exact))
            raise CaptureError(
                "table_missing",
                f"{self._address} has no table {names} that this user may read; see 'tables', and grant SELECT",
            )
        checks.refuse_errors(checks.logged_findings(self._ask, found))

    def _connect(self) -> None:
        self._sql = Sql(self._address)
        is_mariadb = "mariadb" in self._sql.version.lower()
        if self._config.kind == "mysql" and is_mariadb:
            self._is_mariadb = True
        elif self._config.kind == "mariadb" and not is_mariadb:
            self._is_mariadb = False
        connector = "mariadb" if self._is_mariadb else "mysql"
        self._records = Records(connector, self._place.prefix)

    def _ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        assert self._sql is not None, "open comes first"
        return self._sql(sql, *values)

    def _settings(self) -> dict[str, str]:
        return checks.settings(self._ask, is_mariadb=self._is_mariadb)

    def _describe(self) -> None:
        """Read what the chosen tables look like now."""
        self._is_stale = False
        existing = existing_tables(self._ask)
        found = {
            name: describe(self._ask, name, *existing[name])
            for name in self._chosen.chosen(existing)
        }
        self._tables = {name: self._with_key(table) for name, table in found.items()}

    def _with_key(self, table: TableColumns) -> TableColumns:
        key = self._chosen.of(self._config.keys, table.name)
        return table if key is None else table.with_key(tuple(key))

    def identity(self) -> Mapping[str, Any]:
        return {"database": "mariadb" if self._is_mariadb else "mysql"}

    def begin(self, *, again: bool) -> Mapping[str, Any]:  # noqa: ARG002 # nothing is made in the database
        self.end_snapshot()
        if self._config.snapshot == "never" or self._config.outbox is not None:
            return {"gtid": self._server_gtids()}
        self._view = ConsistentView(Sql(self._address), is_mariadb=self._is_mariadb)
        return {"gtid": self._view.gtids}

    def _server_gtids(self) -> str:
        variable = "gtid_binlog_pos" if self._is_mariadb else "gtid_executed"
        found = self._ask(f"SELECT @@global.{variable}")
        return str(found[0][0] or "").replace("\n", "")

    def verify(self, identity: Mapping[str, Any], position: Position, known: Sequence[str]) -> None:  # noqa: ARG002 # the log has every table
        """Whether the server can send what comes after the position, and has what came before it."""
        if dict(identity) != dict(self.identity()):
            raise CaptureError(
                "other_database",
                f"the position was stored for {identity.get('database')}, and {self._address} is"
                f" {self.identity()['database']}; take a snapshot anew under another name of the stage",
            )
        stored = self._gtids(position.after)
        now = parse_gtids(self._server_gtids(), is_mariadb=self._is_mariadb)
        if not covers(now, stored):
            raise ChangesLostError(
                "server_behind",
                f"{self._address} is at {now or 'the beginning'}, which is before the stored position {stored}: it was restored"
                " from a backup, or is another server; only a snapshot anew is right",
            )
        if not self._is_mariadb:
            purged = self._ask("SELECT @@global.gtid_purged")[0][0] or ""
            if not covers(stored, parse_gtids(purged.replace("\n", ""), is_mariadb=False)):
                raise ChangesLostError(
                    "log_gone",
                    f"the log of {self._address} was purged up to {purged}, behind the stored position {stored}; keep it longer"
                    " (binlog_expire_logs_seconds), and take a snapshot anew",
                )
        self._open_stream(position)
        assert self._stream is not None
        self._stream.peek()

    def _gtids(self, after: Mapping[str, Any]) -> Gtids:
        return parse_gtids(str(after["gtid"]), is_mariadb=self._is_mariadb)

    # Snapshots

    def tables(self) -> Sequence[SourceTable]:
        found = [
            SourceTable(
                name=name,
                topic="" if self._config.outbox is not None else self._place.topic(name),
                has_key=bool(table.key),
                rows=table.rows,
            )
            for name, table in self._tables.items()
        ]
        return sorted(found, key=lambda one: one.has_key)

    def added(self, known: Sequence[str]) -> Sequence[SourceTable]:
        if self._is_stale:
            self._describe()
        names = set(known)
        return [table for table in self.tables() if str(table.name) not in names]

    def snapshot(
        self, table: SourceTable, where: str | None
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        assert self._view is not None, "begin comes first"
        return self._view.parts(
            self._selection(table), where, self._config.snapshot_rows, self._place.clock.now_ms()
        )

    def _selection(self, table: SourceTable) -> Selection:
        columns = self._tables[table.name]
        return Selection(columns, self._choice(columns), table.topic, self._records)

    def end_snapshot(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None

    def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk:
        """What was streamed is in the log, and may not be in the tables yet: see `_view_of_streamed`."""
        selection = self._selection(table)
        statement = selection.statement(where, cursor, count)
        if self._is_mariadb:
            until = self._view_of_streamed()
            raw = self._rows(statement, selection, where)
            self._ask("COMMIT")
        else:
            # Waits for transactions that are in the log already, since they still hold their locks.
            raw = self._rows(f"{statement} FOR SHARE", selection, where)
            until = self._server_gtids()
        rows = selection.rows(raw, "incremental", self._place.clock.now_ms(), until)
        behind = selection.cursor_of(raw[-1]) if len(raw) == count else None
        return Chunk(rows, behind, until)

    def _rows(
        self, statement: str, selection: Selection, where: str | None
    ) -> list[tuple[Any, ...]]:
        try:
            return self._ask(statement)
        except (CaptureError, DatabaseUnavailableError) as error:
            if where is not None and (reason := refusal(error)):
                self._ask("ROLLBACK")
                self._ask(f"EXPLAIN {selection.statement(None)}")  # refused: not the condition
                raise ConditionRefusedError(reason) from error
            raise

    def _view_of_streamed(self) -> str:
        """Begin a transaction that sees everything that was streamed; where it is in the log."""
        assert self._sql is not None
        assert self._stream is not None, "start comes first"
        while True:
            gtids = view_of_mariadb(self._sql)
            if self._stream.is_within(parse_gtids(gtids, is_mariadb=True)):
                return gtids
            self._ask("ROLLBACK")
            if self._place.stopped.wait(_VISIBLE_PAUSE_S):
                raise DatabaseUnavailableError("stopped while a view of the tables was waited for")

    def try_condition(self, table: SourceTable, where: str) -> None:
        self._ask(f"EXPLAIN {self._selection(table).statement(where)}")

    def has_reached(self, until: Any) -> bool:
        assert self._stream is not None, "start comes first"
        return covers(self._stream.gtids, parse_gtids(until, is_mariadb=self._is_mariadb))

    # The stream

    def start(self, position: Position) -> None:
        if self._stream is None or str(self._stream.gtids) != str(self._gtids(position.after)):
            self._open_stream(position)

    def _open_stream(self, position: Position) -> None:
        if self._reader is not None:
            self._reader.close()
        gtids = self._gtids(position.after)
        self._reader = LogReader(
            self._address,
            self._config.server_id or server_id(self._place.name),
            str(gtids),
            is_mariadb=self._is_mariadb,
        )
        self._stream = Stream(
            self._reader,
            gtids,
            table_of_event=self._table_of_event,
            table_of_name=self._table_of_name,
            schema_changed=self._schema_changed,
        )

    def poll(self, changes: Changes, timeout_s: float) -> None:
        assert self._stream is not None, "start comes first"
        self._stream.poll(changes, self._place.clock, timeout_s)

    def _schema_changed(self, _: str) -> None:
        self._is_stale = True

    def _choice(self, table: TableColumns) -> Choice:
        columns = self._chosen.of(self._config.columns, table.name) or _NOTHING
        key = self._chosen.of(self._config.keys, table.name)
        return Choice(
            key=None if key is None else tuple(key),
            include=columns.include,
            exclude=columns.exclude,
            mask=frozenset(columns.mask),
            columns=table,
            spelling=self._spelling,
        )

    def _table_of_event(self, event: Any) -> CapturedTable | None:
        """The table of a rows event in the shape that the log has just told; None for one that is not captured."""
        assert self._reader is not None
        logged = self._reader.table(event)
        if logged is None:
            raise CaptureError(
                "log_unreadable", "the log holds rows of a table that it has not told of"
            )
        known = self._seen.get(event.table_id)
        if known is not None and known[0] is logged:
            return known[1]
        name = TableName(logged.schema, logged.table)
        captured = self._shaped(name, logged.columns) if self._chosen.chosen([name]) else None
        self._seen[event.table_id] = (logged, captured)
        return captured

    def _shaped(self, name: TableName, columns: Sequence[Any]) -> CapturedTable:
        """The captured table, made anew when the log says that it has changed."""
        mark = signature(columns)
        known = self._captured.get(name)
        if known is not None and known[0] == mark:
            return known[1]
        if known is not None and self._config.on_schema_change == "fail":
            raise StopAskedError(
                "schema_changed",
                f"the columns of table {name} have changed, and 'on_schema_change' is fail",
            )
        if not columns or columns[0].name is None:
            raise CaptureError(
                "setting_binlog_row_metadata",
                f"the log does not name the columns of {name}: binlog_row_metadata was not FULL then; take a snapshot anew",
            )
        if self._is_stale or name not in self._tables:
            self._describe()
        described = self._tables.get(name) or TableColumns(name, (), ())
        shape = Shape(name, columns, self._choice(described))
        return self._keep(name, mark, shape)

    def _keep(self, name: TableName, mark: Any, shape: Shape) -> CapturedTable:
        assert self._stream is not None
        captured = CapturedTable(
            shape,
            "" if self._config.outbox is not None else self._place.topic(name),
            self._config,
            self._records,
            clock=self._place.clock,
            partitions=self._place.partitions,
            next_change=self._stream.next_change,
        )
        self._captured[name] = (mark, captured)
        return captured

    def _table_of_name(self, name: TableName) -> CapturedTable | None:
        if self._config.outbox is not None or not self._chosen.chosen([name]):
            return None
        if name in self._captured:
            return self._captured[name][1]
        described = self._tables.get(name) or TableColumns(name, (), ())
        return self._keep(name, None, Shape(name, (), self._choice(described.with_key(()))))

    def confirm(self, position: Position) -> None:
        """The server keeps its log by time, whoever reads it."""

    def heartbeat(self, known: Sequence[str]) -> None:  # noqa: ARG002 # the log has every table
        if self._config.heartbeat_sql:
            self._ask(self._config.heartbeat_sql)
        self._ask("SELECT 1")  # so that the server does not close the connection

    def figures(self) -> Mapping[str, float]:
        logs = self._ask("SHOW BINARY LOGS")
        figures = {"log_bytes": float(sum(int(size) for _, size, *_ in logs))}
        if self._stream is not None:
            now = parse_gtids(self._server_gtids(), is_mariadb=self._is_mariadb)
            behind = missing(self._stream.gtids, now)
            figures["lag_transactions"] = float(behind)
            since_s = self._place.clock.now_ms() / 1000 - self._stream.last_event_s
            figures["lag_s"] = max(0.0, since_s) if behind and self._stream.last_event_s else 0.0
        return figures

    def notes(self) -> Sequence[str]:
        gone = [name for name in self._chosen.exact if name not in self._tables]
        return [f"table {name} does not exist" for name in gone]

    # The command line

    def check(self) -> Sequence[Finding]:
        try:
            return self._findings()
        except HeadraceError as error:
            return [Finding(level="error", subject="connection", text=str(error))]

    def _findings(self) -> Sequence[Finding]:
        if self._sql is None:
            self._connect()
        self._describe()
        found = list(self._tables.values())
        findings = [*checks.setting_findings(self._settings(), is_mariadb=self._is_mariadb)]
        findings += checks.logged_findings(self._ask, found)
        findings += checks.table_findings(found)
        if not found:
            findings.append(
                Finding(
                    level="error",
                    subject="tables",
                    text="no table matches that this user may read; see 'tables', and grant SELECT",
                )
            )
        return findings

    def drop(self) -> Sequence[str]:
        """Nothing was made in the database."""
        return ()

    def close(self) -> None:
        self.end_snapshot()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._sql is not None:
            with suppress(DatabaseUnavailableError):
                self._sql.close()
            self._sql = None
