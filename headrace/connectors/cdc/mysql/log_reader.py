"""The binary log as events, through the package mysql-replication.

Two things are done differently here from what that package does by itself. When the connection is lost it connects anew from
where it had begun, and sends everything again: here that is an error, and the feed goes on from its own position. And it leaves
out events that it does not know: here these are seen, so that what cannot be read is never passed over.
"""

from typing import Any, Final

from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.errors import (
    CaptureError,
    ChangesLostError,
    DatabaseUnavailableError,
)
from headrace.connectors.cdc.mysql.connection import arguments, driver, explained

HEARTBEAT_S: Final = 0.1
"""How soon the server says that nothing is there; what comes is sent at once."""
_SILENCE_S: Final = 30
_NOBODY = "00000000-0000-0000-0000-000000000001:1"
"""A set that holds nothing of any server's: an empty one is taken for none at all."""
_LOG_ERROR = 1236
UNREADABLE: Final = {
    40: "compressed transactions (binlog_transaction_compression)",
    **dict.fromkeys(range(165, 172), "compressed events (log_bin_compress)"),
    164: "encrypted events (encrypt_binlog)",
}


class LogReader:
    """Events from a position on. Not thread-safe."""

    def __init__(
        self, address: Address, server_id: int, position: str, *, is_mariadb: bool
    ) -> None:
        driver()
        from pymysqlreplication import BinLogStreamReader

        self._address = address
        self._connections = 0
        self._reader: Any = BinLogStreamReader(
            connection_settings=arguments(address) | {"read_timeout": _SILENCE_S},
            server_id=server_id,
            blocking=True,
            resume_stream=True,
            auto_position=position or (None if is_mariadb else _NOBODY),
            slave_heartbeat=HEARTBEAT_S,
            is_mariadb=is_mariadb,
            filter_non_implemented_events=False,
            enable_logging=False,
            pymysql_wrapper=self._connect,
        )
        if is_mariadb:
            self._reader.auto_position = position  # also when it is empty: from the beginning

    def _connect(self, **settings: Any) -> Any:
        """Called by the package for a connection for events, then for one for questions, and then never again."""
        self._connections += 1
        if self._connections > 2:
            raise DatabaseUnavailableError(f"the connection to {self._address} was lost")
        if "db" in settings:  # as the driver called it once
            settings["database"] = settings.pop("db")
        return driver().connect(**settings)

    @property
    def log_file(self) -> str:
        return str(self._reader.log_file or "")

    @property
    def log_position(self) -> int:
        return int(self._reader.log_pos or 0)

    def table(self, event: Any) -> Any:
        """The columns of the table that a rows event is about, as the log has them; None where it does not say."""
        return self._reader.table_map.get(event.table_id)

    def next(self) -> Any:
        """The next event; a heartbeat when nothing has come for a moment.

        Raises:
            DatabaseUnavailableError: the connection is lost.
            ChangesLostError: the log no longer reaches back to the position.
            CaptureError: the log holds what cannot be read.
        """
        try:
            event = self._reader.fetchone()
        except (CaptureError, DatabaseUnavailableError):
            raise
        except Exception as error:
            raise self._failure(error) from error
        if event is None:
            raise DatabaseUnavailableError(f"{self._address} ended the stream of its log")
        return event

    def _failure(self, error: Exception) -> Exception:
        pymysql = driver()
        if not isinstance(error, pymysql.err.MySQLError | OSError | EOFError):
            return CaptureError(
                "log_unreadable",
                f"the log of {self._address} cannot be read at {self.log_file}:{self.log_position}:"
                f" {type(error).__name__}; a snapshot anew goes on behind it",
            )
        if not error.args or error.args[0] != _LOG_ERROR:
            return explained("read the log", self._address, error)
        message = " ".join(str(error.args[-1]).split())
        if "max_allowed_packet" in message:
            return CaptureError(
                "change_too_large",
                f"{self._address} has a change that is larger than its max_allowed_packet: {message}; raise it there",
            )
        if "server_id" in message or "server_uuid" in message:
            return CaptureError(
                "server_id_in_use",
                f"{self._address} has another replica of this id: {message}; set 'server_id' to one that nobody else has",
            )
        return ChangesLostError(
            "log_gone",
            f"the log of {self._address} no longer has what comes after the stored position: {message}. Either its files were"
            " purged (keep them longer: binlog_expire_logs_seconds), or the server was restored or reset; only a snapshot"
            " anew is right ('snapshot: when_needed', or headrace cdc snapshot)",
        )

    def close(self) -> None:
        """May be called again."""
        for name in ("_stream_connection", "_ctl_connection"):
            connection = getattr(self._reader, name, None)
            if connection is not None:
                connection._force_close()  # noqa: SLF001 # closing politely would wait for the end of the stream
