"""What must be so on the server, and what happens when it is not."""

from collections.abc import Iterator, Sequence

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.mysql.columns import Query, TableColumns
from headrace.runtime.contracts.capture import Finding

_RESTART = "in the server's configuration, restart it"
_SETTINGS = """
    SELECT variable_name, variable_value FROM information_schema.global_variables
"""
_SETTINGS_MYSQL = """
    SELECT variable_name, variable_value FROM performance_schema.global_variables
"""
_NAMES = (
    *("log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "log_bin_compress"),
    *("gtid_mode", "enforce_gtid_consistency", "binlog_transaction_compression"),
    *("binlog_row_value_options", "mysql56_temporal_format", "server_id", "server_uuid"),
    *("binlog_expire_logs_seconds", "expire_logs_days", "log_slave_updates", "encrypt_binlog"),
)


def settings(query: Query, *, is_mariadb: bool) -> dict[str, str]:
    """The server's settings that matter here, as far as it has them."""
    names = ", ".join(f"'{name}'" for name in _NAMES)
    sql = _SETTINGS if is_mariadb else _SETTINGS_MYSQL
    found = query(f"{sql} WHERE lower(variable_name) IN ({names})")
    return {str(name).lower(): str(value or "") for name, value in found}


def setting_findings(found: dict[str, str], *, is_mariadb: bool) -> Iterator[Finding]:
    """What the settings must be so that no change is lost."""
    wanted = [
        ("log_bin", "ON", f"set log_bin {_RESTART}"),
        ("binlog_format", "ROW", "SET GLOBAL binlog_format = 'ROW'"),
        ("binlog_row_image", "FULL", "SET GLOBAL binlog_row_image = 'FULL'"),
        ("binlog_row_metadata", "FULL", "SET GLOBAL binlog_row_metadata = 'FULL'"),
    ]
    if is_mariadb:
        wanted.append(("log_bin_compress", "OFF", "SET GLOBAL log_bin_compress = OFF"))
        wanted.append(
            ("mysql56_temporal_format", "ON", f"set mysql56_temporal_format=ON {_RESTART}")
        )
    else:
        wanted.append(
            ("gtid_mode", "ON", "see MySQL's manual, 'Enabling GTID Transactions Online'")
        )
        off = "SET GLOBAL binlog_transaction_compression = OFF"
        wanted.append(("binlog_transaction_compression", "OFF", off))
        wanted.append(("binlog_row_value_options", "", "SET GLOBAL binlog_row_value_options = ''"))
    for name, value, remedy in wanted:
        is_new = name in (
            "log_bin_compress",
            "binlog_transaction_compression",
            "binlog_row_value_options",
        )
        actual = found.get(name, value if is_new else "")
        if actual.upper() in (value, {"ON": "1", "OFF": "0"}.get(value, value)):
            yield Finding(level="ok", subject=name, text=f"{name} is {actual or 'empty'}")
        else:
            text = (
                f"{name} is {actual or 'not there'} and must be {value or 'empty'}: {remedy}; sessions"
                " that are open keep theirs"
            )
            yield Finding(level="error", subject=name, text=text)


def logged_findings(query: Query, tables: Sequence[TableColumns]) -> Iterator[Finding]:
    """Whether a filter of the server keeps a table's changes out of the log."""
    found = query("SHOW MASTER STATUS")
    if not found:
        return
    only = {one for one in str(found[0][2] or "").split(",") if one}
    never = {one for one in str(found[0][3] or "").split(",") if one}
    for schema in sorted({table.name.schema for table in tables}):
        if schema in never or (only and schema not in only):
            name = "binlog_ignore_db" if schema in never else "binlog_do_db"
            yield Finding(
                level="error",
                subject=schema,
                text=f"changes of database '{schema}' are not logged: the server has {name}; change it and restart the server",
            )


def table_findings(tables: Sequence[TableColumns]) -> Iterator[Finding]:
    """What is known of each table."""
    for table in tables:
        name = str(table.name)
        if not table.key:
            text = (
                "no primary key: records have no key, all are in partition 0, and it cannot be read again in chunks; add one,"
                " or name its columns in 'keys'"
            )
            yield Finding(level="warning", subject=name, text=text)
        elif table.engine.lower() not in ("innodb", ""):
            text = f"engine {table.engine} has no transactions: rows that are written during the snapshot may come twice"
            yield Finding(level="warning", subject=name, text=text)
        else:
            yield Finding(level="ok", subject=name, text=f"key {', '.join(table.key)}")


def refuse_errors(findings: Iterator[Finding]) -> None:
    """Raise the first error among findings.

    Raises:
        CaptureError: changes would be lost.
    """
    for finding in findings:
        if finding.level == "error":
            raise CaptureError(f"setting_{finding.subject}", finding.text)
