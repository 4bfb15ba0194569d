"""The replication slot: how far PostgreSQL keeps its log for us."""

from typing import NamedTuple

from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.lsn import parse_lsn

_STATUS_SINCE = 130_000


class SlotRow(NamedTuple):
    """A row of pg_replication_slots. `log_bytes` is what is kept for it; `process` reads from it now."""

    plugin: str | None
    database: str | None
    confirmed: int | None
    restart: int | None
    status: str | None
    process: int | None
    log_bytes: int | None
    lag_bytes: int | None

    @property
    def is_lost(self) -> bool:
        return self.status == "lost" or self.confirmed is None


class Slot:
    """Belongs to a source; every method asks the database."""

    def __init__(self, sql: Sql, name: str) -> None:
        self._sql = sql
        self.name = name

    def read(self) -> SlotRow | None:
        """The slot as it is, or None when there is none of this name."""
        status = "wal_status" if self._sql.client.info.server_version >= _STATUS_SINCE else "null"
        now = "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end"
        found = self._sql.one(
            f"select plugin::text, database::text, confirmed_flush_lsn::text, restart_lsn::text, {status}, active_pid,"  # noqa: S608 # our own words
            f" pg_wal_lsn_diff({now}, restart_lsn)::int8, pg_wal_lsn_diff({now}, confirmed_flush_lsn)::int8"
            " from pg_replication_slots where slot_name = %s",
            [self.name],
        )
        if found is None:
            return None
        plugin, database, confirmed, restart, *others = found
        return SlotRow(
            plugin,
            database,
            parse_lsn(confirmed) if confirmed else None,
            parse_lsn(restart) if restart else None,
            *others,
        )

    def free(self, application: str) -> str | None:
        """End the process of a predecessor of ours that still reads from it; who reads otherwise."""
        found = self._sql.one(
            "select a.pid, a.application_name from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid"
            " where s.slot_name = %s",
            [self.name],
        )
        if found is None:
            return None
        process, name = found
        if name != application:
            return f"process {process} ('{name}')"
        self._sql.rows("select pg_terminate_backend(%s)", [process])
        return None

    def drop(self) -> bool:
        """Remove it; whether it was there."""
        if self.read() is None:
            return False
        self._sql.rows("select pg_drop_replication_slot(%s)", [self.name])
        return True
