"""What must be so for a capture to go on without loss; each breach has its own code and its own way on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from headrace.connectors.cdc.errors import CaptureError, ChangesLostError, DatabaseUnavailableError
from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.lsn import format_lsn, parse_lsn
from headrace.connectors.cdc.postgres.publication import Publication
from headrace.connectors.cdc.postgres.slot import Slot, SlotRow
from headrace.connectors.cdc.tables import TableName

AGAIN = (
    "ask for a new snapshot with `headrace cdc snapshot` (or set 'snapshot: when_needed'), which begins anew with what the tables"
    " hold now"
)


def check_identity(stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Make sure that it is the database that the position belongs to."""
    for name, what in (("system", "cluster"), ("database", "database"), ("slot", "slot")):
        if stored.get(name) != now[name]:
            raise CaptureError(
                f"other_{name}",
                f"the position belongs to {what} '{stored.get(name)}', and this is {what} '{now[name]}': a position means nothing"
                " elsewhere; capture it in a stage of another name, or point it back",
            )


def check_slot(slot: Slot, row: SlotRow | None, database: str, lsn: int) -> None:
    """Make sure that the slot still has everything behind a position."""
    name = slot.name
    if row is None:
        raise ChangesLostError(
            "slot_missing",
            f"replication slot '{name}' does not exist any more, and with it went the changes since {format_lsn(lsn)}; {AGAIN}",
        )
    if row.plugin != "pgoutput" or row.database != database:
        raise CaptureError(
            "slot_foreign",
            f"replication slot '{name}' belongs to plugin {row.plugin} and database '{row.database}', not to pgoutput and"
            f" '{database}'; set 'slot' to another name",
        )
    if row.is_lost:
        raise ChangesLostError(
            "slot_lost",
            f"replication slot '{name}' is lost: it kept more log than max_slot_wal_keep_size allows, and PostgreSQL removed the"
            f" changes since {format_lsn(lsn)}; {AGAIN}, and raise max_slot_wal_keep_size",
        )
    assert row.confirmed is not None
    if row.confirmed > lsn:
        raise ChangesLostError(
            "slot_ahead",
            f"replication slot '{name}' is at {format_lsn(row.confirmed)}, ahead of what was captured ({format_lsn(lsn)}): it was"
            f" advanced, or dropped and made again, and the changes in between are gone; {AGAIN}",
        )


def check_log(sql: Sql, lsn: int) -> None:
    """Make sure that the server's log reaches as far as the position."""
    now = parse_lsn(
        sql.value(
            "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text"
        )
    )
    if now < lsn:
        raise ChangesLostError(
            "database_behind",
            f"the database's log ends at {format_lsn(now)}, before what was captured already ({format_lsn(lsn)}): it was restored"
            f" from a backup, or a replica that was behind took over; {AGAIN}",
        )


def check_published(
    publication: Publication, known: Sequence[str], existing: Callable[[], Iterable[TableName]]
) -> None:
    """Make sure that tables that were captured before are still sent.

    Asks for the `existing` ones last, so that a table that is dropped meanwhile does not look as if it was not sent.
    """
    if not publication.exists():
        raise ChangesLostError(
            "publication_missing",
            f"publication '{publication.name}' does not exist any more, so that changes were not sent; {AGAIN}",
        )
    publication.check()
    sent = publication.tables()
    lost = [str(name) for name in existing() if str(name) in known and name not in sent]
    if lost:
        raise ChangesLostError(
            "table_unpublished",
            f"publication '{publication.name}' does not send {', '.join(lost)} any more (it was removed, or dropped and made"
            " again), so that changes may be missing; take it back with `headrace cdc snapshot`, which adds it and reads its"
            " rows, or name it in 'exclude'",
            tuple(lost),
        )


def free_slot(slot: Slot, application: str) -> None:
    """End what a predecessor of ours left reading; wait where it is somebody else."""
    if (reader := slot.free(application)) is not None:
        raise DatabaseUnavailableError(
            f"replication slot '{slot.name}' is in use by {reader}; end it, or set 'slot' to another name"
        )


def check_server(sql: Sql) -> None:
    """Make sure that the server can replicate at all."""
    level = sql.value("show wal_level")
    if level != "logical":
        raise CaptureError(
            "wal_level",
            f"wal_level is '{level}' and must be 'logical': run ALTER SYSTEM SET wal_level = logical and restart PostgreSQL",
        )
    can = sql.value("select rolreplication or rolsuper from pg_roles where rolname = current_user")
    if not can:
        raise CaptureError(
            "access_denied", "the user may not replicate: run ALTER ROLE ... REPLICATION for it"
        )
