"""Everything that `headrace cdc check` looks at in PostgreSQL."""

from collections.abc import Iterator

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.postgres import guards
from headrace.connectors.cdc.postgres.captured import Captured
from headrace.connectors.cdc.postgres.connection import Sql, quoted
from headrace.connectors.cdc.postgres.publication import Publication
from headrace.connectors.cdc.postgres.slot import Slot
from headrace.runtime.contracts.capture import Finding
from headrace.runtime.errors import HeadraceError

_LOG_BYTES_MANY = 1_000_000_000


def findings(
    address: Address, captured: Captured, config: CdcConfig, slot: str, publication: str
) -> list[Finding]:
    """What is well and what is not, the connection first."""
    try:
        sql = Sql(address, "headrace_check")
    except HeadraceError as error:
        return [Finding(level="error", subject="connection", text=str(error))]
    found: list[Finding] = []
    try:
        found += [
            Finding(level="ok", subject="connection", text=f"{address} answers, {_version(sql)}")
        ]
        found += _server(sql, slot)
        captured.look(sql)
        found += _tables(sql, captured)
        found += _publication(sql, captured, config, publication)
    except HeadraceError as error:
        found.append(Finding(level="error", subject="check", text=str(error)))
    finally:
        sql.close()
    return found


def _version(sql: Sql) -> str:
    return f"PostgreSQL {sql.value('show server_version')}"


def _server(sql: Sql, name: str) -> Iterator[Finding]:
    try:
        guards.check_server(sql)
        yield Finding(
            level="ok",
            subject="replication",
            text="wal_level is logical, and the user may replicate",
        )
    except HeadraceError as error:
        yield Finding(level="error", subject="replication", text=str(error))
    row = Slot(sql, name).read()
    if row is None:
        used, most = sql.rows(
            "select (select count(*) from pg_replication_slots), current_setting('max_replication_slots')::int"
        )[0]
        if used >= most:
            text = f"all {most} replication slots are taken; raise max_replication_slots and restart PostgreSQL"
            yield Finding(level="error", subject="slot", text=text)
        else:
            text = f"'{name}' is not there yet; {most - used} of {most} slots are free"
            yield Finding(level="ok", subject="slot", text=text)
    elif row.is_lost:
        text = f"'{name}' is lost; {guards.AGAIN}"
        yield Finding(level="error", subject="slot", text=text)
    else:
        is_much = (row.log_bytes or 0) > _LOG_BYTES_MANY
        state = "is being read" if row.process else "is read by nobody, so that the log grows"
        text = f"'{name}' {state}; the database keeps {row.log_bytes:,} bytes of log for it"
        yield Finding(
            level="warning" if is_much or not row.process else "ok", subject="slot", text=text
        )
    keep = sql.value("show max_slot_wal_keep_size")
    if keep == "-1":
        text = (
            "max_slot_wal_keep_size is -1: a capture that stands still fills the database's disk; set it to what the disk can"
            " bear"
        )
        yield Finding(level="warning", subject="disk", text=text)
    else:
        text = f"max_slot_wal_keep_size is {keep}: a capture that is further behind is lost"
        yield Finding(level="ok", subject="disk", text=text)


def _tables(sql: Sql, captured: Captured) -> Iterator[Finding]:
    for name in captured.missing:
        yield Finding(level="error", subject=str(name), text="does not exist")
    for name, table in captured.tables.items():
        may = sql.value("select has_table_privilege(%s::oid, 'select')", [table.oid])
        problems = captured.problems(table)
        if not may:
            text = f"the user may not read it: run GRANT SELECT ON {quoted(*name)}"
            yield Finding(level="error", subject=str(name), text=text)
        elif problems:
            yield Finding(level="error", subject=str(name), text=problems[0])
        elif not captured.key(table):
            text = "has no key: its records have none, are all in partition 0, and cannot be read again in parts"
            yield Finding(level="warning", subject=str(name), text=text)
        else:
            text = f"key {', '.join(captured.key(table))}, about {max(table.rows, 0):,} rows"
            yield Finding(level="ok", subject=str(name), text=text)


def _publication(sql: Sql, captured: Captured, config: CdcConfig, name: str) -> Iterator[Finding]:
    publication = Publication(sql, name, config)
    try:
        if publication.exists() or config.publication_mode == "existing":
            publication.check()
            publication.check_tables(captured.tables)
            yield Finding(level="ok", subject="publication", text=f"'{name}' sends all of them")
        else:
            yield Finding(level="ok", subject="publication", text=f"'{name}' is made at the start")
    except HeadraceError as error:
        yield Finding(level="error", subject="publication", text=str(error))
