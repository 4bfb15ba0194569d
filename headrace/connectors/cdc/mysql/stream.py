"""From the events of the binary log to changes.

What a transaction looks like in the log:

======== =================================================================================================
MariaDB  Gtid, then per statement TableMap and Rows, then Xid (or a query `COMMIT`); or Gtid (standalone), Query
MySQL    Gtid, Query `BEGIN`, then per statement TableMap and Rows, then Xid; or Gtid, Query
======== =================================================================================================

A query that stands alone is a change of the schema, or a TRUNCATE.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.mysql.gtid import Gtids, covers
from headrace.connectors.cdc.mysql.log_reader import UNREADABLE
from headrace.connectors.cdc.source import Changes
from headrace.connectors.cdc.tables import TableName
from headrace.runtime.clock import Clock

_STANDALONE = 1
_BEGIN = re.compile(r"\s*(BEGIN|START\s+TRANSACTION|XA\s+START)\b", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)\s*(/\*.*\*/)?;?\s*$", re.IGNORECASE | re.DOTALL)
_STATEMENT = re.compile(
    r"(?:\s|/\*.*?\*/|#[^\n]*\n)*(INSERT|UPDATE|DELETE|REPLACE|LOAD\s+DATA)\b",
    re.IGNORECASE | re.DOTALL,
)
_TRUNCATE = re.compile(
    r"(?:\s|/\*.*?\*/)*TRUNCATE\s+(?:TABLE\s+)?(?:(`(?:[^`]|``)+`|[^\s.`;]+)\s*\.\s*)?(`(?:[^`]|``)+`|[^\s.`;]+)",
    re.IGNORECASE | re.DOTALL,
)


class RowsTable(Protocol):
    """What writes the changes of one table."""

    def write(self, changes: Changes, event: Any, place: dict[str, Any]) -> Iterator[None]:
        """Write the rows of an event one by one: each is written when the iterator is asked for the next."""

    def truncated(self, changes: Changes, event: Any, place: dict[str, Any]) -> None: ...


class Events(Protocol):
    """Where events come from; see `LogReader`."""

    @property
    def log_file(self) -> str: ...
    @property
    def log_position(self) -> int: ...
    def next(self) -> Any: ...


class Stream:
    """Carries out events, one after the other. `gtids` is the position behind the last whole transaction."""

    def __init__(
        self,
        events: Events,
        gtids: Gtids,
        *,
        table_of_event: Callable[[Any], RowsTable | None],
        table_of_name: Callable[[TableName], RowsTable | None],
        schema_changed: Callable[[str], None],
    ) -> None:
        self._events = events
        self.gtids = gtids
        self._table_of_event = table_of_event
        self._table_of_name = table_of_name
        self._schema_changed = schema_changed
        self._gtid = ""  # of the open transaction
        self._is_open = False
        self._begun = False  # whether `changes` knows of it
        self._skip = 0
        self._index = 0
        self._rows: Iterator[None] | None = None  # of an event that was left in the middle
        self._peeked: deque[Any] = deque()
        self.last_event_s = 0

    def peek(self) -> None:
        """Wait for the first event, which `poll` will carry out: whether the server can send from here."""
        self._peeked.append(self._events.next())

    def poll(self, changes: Changes, clock: Clock, timeout_s: float) -> None:
        """Carry out what has come; return when it is full, when the time is over, or when nothing is there."""
        until_s = clock.monotonic_s() + timeout_s
        while not changes.is_full:
            if self._rows is not None:
                self._write_rows(changes, self._rows)
                continue
            event = self._peeked.popleft() if self._peeked else self._events.next()
            kind = type(event).__name__
            if kind == "HeartbeatLogEvent":
                return
            self._carry_out(kind, event, changes)
            if clock.monotonic_s() >= until_s:
                return

    def _carry_out(self, kind: str, event: Any, changes: Changes) -> None:
        if event.timestamp:
            self.last_event_s = event.timestamp
        if kind in ("WriteRowsEvent", "UpdateRowsEvent", "DeleteRowsEvent"):
            table = self._table_of_event(event)
            if table is not None:
                self._begin(changes)
                self._rows = table.write(changes, event, self._place())
        elif kind == "MariadbGtidEvent":
            self._open(event.gtid)
            self._is_open = not event.flags & _STANDALONE
        elif kind == "GtidEvent":
            self._open(event.gtid)
        elif kind in ("XidEvent", "XAPrepareEvent"):
            self._end(changes)
        elif kind == "QueryEvent":
            self._query(event, changes)
        elif kind == "PartialUpdateRowsEvent":
            raise CaptureError(
                "partial_rows",
                "the log holds parts of JSON values only; set binlog_row_value_options to '' and take a snapshot anew",
            )
        elif event.event_type in UNREADABLE:
            raise CaptureError(
                "log_unreadable",
                f"the log holds {UNREADABLE[event.event_type]}, which headrace cannot read; switch that off and take a"
                " snapshot anew",
            )

    def _place(self) -> dict[str, Any]:
        return {
            "gtid": self._gtid,
            "file": self._events.log_file,
            "pos": self._events.log_position,
        }

    # Transactions

    def _open(self, gtid: str) -> None:
        self._gtid = gtid
        self._is_open = self._begun = False
        self._skip = self._index = 0

    def _begin(self, changes: Changes) -> None:
        """Tell of the transaction when its first change of interest comes."""
        if not self._begun:
            self._begun = True
            self._skip = changes.begin(self._gtid)

    def _end(self, changes: Changes) -> None:
        if not self._gtid:
            return
        self.gtids.add(self._gtid)
        self._gtid = ""
        self._is_open = False
        changes.end({"gtid": str(self.gtids)})

    def is_within(self, view: Gtids) -> bool:
        """Whether everything that was carried out, the open transaction included, is in a set."""
        is_open_there = not self._gtid or covers(view, type(view).parse(self._gtid))
        return is_open_there and covers(view, self.gtids)

    def _write_rows(self, changes: Changes, rows: Iterator[None]) -> None:
        for _ in rows:
            if changes.is_full:
                return
        self._rows = None

    def next_change(self) -> int | None:
        """Called by tables before each change: its number in the transaction, or None when it was sent before."""
        self._index += 1
        return None if self._index <= self._skip else self._index - 1

    # Statements

    def _query(self, event: Any, changes: Changes) -> None:
        query: str = event.query
        if _BEGIN.match(query):
            self._is_open = True
        elif _END.match(query):
            self._end(changes)
        elif self._is_open:
            self._check_statement(query)
        else:
            self._stand_alone(event, query, changes)
            self._end(changes)

    def _check_statement(self, query: str) -> None:
        """Rows changed by a statement in the log are changes that nobody sees here."""
        if found := _STATEMENT.match(query):
            raise CaptureError(
                "statement_logged",
                f"the log holds {' '.join(found[1].upper().split())} statements instead of rows: somebody's session has another"
                " binlog_format than ROW; find it, and take a snapshot anew",
            )

    def _stand_alone(self, event: Any, query: str, changes: Changes) -> None:
        self._check_statement(query)
        found = _TRUNCATE.match(query)
        if not found:
            self._schema_changed(query)
            return
        schema = _unquoted(found[1]) if found[1] else event.schema.decode()
        table = self._table_of_name(TableName(schema, _unquoted(found[2])))
        if table is None:
            return
        self._begin(changes)
        table.truncated(changes, event, self._place())


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
