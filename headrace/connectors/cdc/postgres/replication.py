"""The replication protocol over libpq: create a slot, stream from it, tell how far we are.

psycopg's own replication support would confirm positions by itself when idle, so the protocol is driven here.
"""

import select
from collections.abc import Callable
from struct import Struct
from threading import Event
from typing import TYPE_CHECKING, Any

from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.errors import DatabaseUnavailableError
from headrace.connectors.cdc.postgres.connection import conninfo, driver, failures, literal, quoted
from headrace.connectors.cdc.postgres.lsn import format_lsn, parse_lsn
from headrace.connectors.cdc.postgres.pgoutput import EPOCH_MS
from headrace.runtime.clock import Clock

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

_feedback = Struct(">cQQQqB").pack
_WAIT_MS = 100
_TELL_S = 2.0


class Replication:
    """One replication connection. Belongs to a source; not thread-safe."""

    def __init__(self, address: Address, application: str, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._psycopg: Any = driver()
        info = f"{conninfo(address, application)} replication=database"
        with failures("connect to the database", address):
            self._raw: PGconn = self._psycopg.pq.PGconn.connect(info.encode())
            if self._raw.status != self._psycopg.pq.ConnStatus.OK:
                raise self._psycopg.OperationalError(self._message())
        self._poll = select.poll()
        self._poll.register(self._raw.socket, select.POLLIN)
        self.get_data = self._raw.get_copy_data

    def _message(self) -> str:
        found: bytes = self._raw.error_message
        return found.decode(errors="replace").strip()

    def system(self) -> str:
        """The identifier of the cluster."""
        return self._rows("IDENTIFY_SYSTEM")[0][0]

    def create_slot(
        self, name: str, stopped: Event, waiting: Callable[[], None]
    ) -> tuple[int, str]:
        """Make a slot, and a view of the database at its beginning; waits for transactions that run.

        Calls `waiting` every few seconds meanwhile.

        Returns:
            Where the slot begins, and the name of the view, which is there as long as this connection does nothing else.
        """
        statement = f"CREATE_REPLICATION_SLOT {quoted(name)} LOGICAL pgoutput EXPORT_SNAPSHOT"
        with failures("create the replication slot", self._address):
            self._raw.send_query(statement.encode())
            next_s = self._clock.monotonic_s() + _TELL_S
            while self._raw.is_busy():
                if self._clock.monotonic_s() >= next_s:
                    waiting()
                    next_s += _TELL_S
                if stopped.is_set():
                    raise DatabaseUnavailableError("stopped while the replication slot was created")
                if self._poll.poll(_WAIT_MS):
                    self._raw.consume_input()
            result = self._raw.get_result()
            found = self._values(result)
            while self._raw.get_result():
                pass
        return parse_lsn(found[0][1]), found[0][2]

    def start(self, slot: str, publication: str, lsn: int, *, with_messages: bool) -> None:
        """Begin to stream; from now on `get_data` returns messages."""
        options = f"proto_version '1', publication_names {literal(quoted(publication))}"
        if with_messages:
            options += ", messages 'true'"
        statement = f"START_REPLICATION SLOT {quoted(slot)} LOGICAL {format_lsn(lsn)} ({options})"
        with failures("stream from the replication slot", self._address):
            result = self._raw.exec_(statement.encode())
            if result.status != self._psycopg.pq.ExecStatus.COPY_BOTH:
                raise self._psycopg.errors.error_from_result(result)
            self._raw.nonblocking = 1

    def wait(self, timeout_s: float) -> bool:
        """Wait for data; whether there is some."""
        if not self._poll.poll(max(0, int(timeout_s * 1000))):
            return False
        with failures("read the stream", self._address):
            self._raw.consume_input()
        return True

    def confirm(self, received: int, confirmed: int) -> None:
        """Tell the server what it may forget."""
        now = (self._clock.now_ms() - EPOCH_MS) * 1000
        with failures("answer the server", self._address):
            self._raw.put_copy_data(_feedback(b"r", received, confirmed, confirmed, now, 0))
            self._raw.flush()

    def ended(self) -> Exception:
        """Why the stream has come to its end."""
        try:
            with failures("stream changes", self._address):
                while result := self._raw.get_result():
                    if result.status == self._psycopg.pq.ExecStatus.FATAL_ERROR:
                        raise self._psycopg.errors.error_from_result(result)
                raise self._psycopg.OperationalError(
                    self._message() or "the server ended the stream"
                )
        except Exception as error:  # for the caller to raise
            return error

    def _rows(self, statement: str) -> list[tuple[str, ...]]:
        with failures("ask the database", self._address):
            return self._values(self._raw.exec_(statement.encode()))

    def _values(self, result: Any) -> list[tuple[str, ...]]:
        if result is None or result.status != self._psycopg.pq.ExecStatus.TUPLES_OK:
            if result is None:
                raise self._psycopg.OperationalError(self._message())
            raise self._psycopg.errors.error_from_result(result)
        return [
            tuple((result.get_value(row, i) or b"").decode() for i in range(result.nfields))
            for row in range(result.ntuples)
        ]

    def close(self) -> None:
        self._raw.finish()
