"""The publication: which tables PostgreSQL sends."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.postgres.connection import Sql, quoted
from headrace.connectors.cdc.tables import TableName

_LISTS_SINCE = 150_000
"""Publications may hold only some columns and rows of a table since PostgreSQL 15."""


class Published(NamedTuple):
    """What a publication says of one table: the columns and the condition, where it limits them."""

    columns: tuple[str, ...] | None = None
    condition: str | None = None


class Publication:
    """Belongs to a source; every method asks the database."""

    def __init__(self, sql: Sql, name: str, config: CdcConfig) -> None:
        self._sql = sql
        self._config = config
        self.name = name

    def exists(self) -> bool:
        return (
            self._sql.one("select 1 from pg_publication where pubname = %s", [self.name])
            is not None
        )

    def tables(self) -> Mapping[TableName, Published]:
        """The tables that are sent; a partitioned one by the name of its root."""
        if self._sql.client.info.server_version >= _LISTS_SINCE:
            found = self._sql.rows(
                "select p.schemaname, p.tablename, p.rowfilter, p.attnames::text[],"
                " (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
                "  and a.attgenerated = '')"
                " from pg_publication_tables p join pg_namespace n on n.nspname = p.schemaname"
                " join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename where p.pubname = %s",
                [self.name],
            )
            return {
                TableName(schema, table): Published(
                    tuple(columns) if len(columns) < count else None, condition
                )
                for schema, table, condition, columns, count in found
            }
        found = self._sql.rows(
            "select schemaname, tablename from pg_publication_tables where pubname = %s",
            [self.name],
        )
        return {TableName(*row): Published() for row in found}

    def prepare(self, wanted: Collection[TableName], *, again: bool) -> None:
        """Make the publication what the config asks for, at the beginning of a capture."""
        mode = self._config.publication_mode
        exists = self.exists()
        if mode == "filtered":
            if exists and not again and not self._has_only(wanted):
                raise CaptureError(
                    "publication_taken",
                    f"publication '{self.name}' is there already, with other tables; set 'publication' to another name, or"
                    " 'publication_mode: existing' to use it as it is",
                )
            if exists:
                self._sql.rows(f"drop publication {quoted(self.name)}")
            self._create(f"for table {self._names(wanted)}" if wanted else "")
        elif mode == "all":
            if not exists:
                self._create("for all tables")
        else:
            self.check()
            self.check_tables(wanted)

    def check(self) -> None:
        """Make sure that it is there and sends all kinds of changes."""
        found = self._sql.one(
            "select pubinsert, pubupdate, pubdelete from pg_publication where pubname = %s",
            [self.name],
        )
        if found is None:
            hint = (
                f"; create it: CREATE PUBLICATION {quoted(self.name)} FOR TABLE ..."
                if self._config.publication_mode == "existing"
                else ""
            )
            raise CaptureError(
                "publication_missing", f"there is no publication '{self.name}'{hint}"
            )
        kinds = zip(("INSERT", "UPDATE", "DELETE"), found, strict=True)
        if self._config.outbox is None and (
            unsent := [kind for kind, is_sent in kinds if not is_sent]
        ):
            raise CaptureError(
                "publication_partial",
                f"publication '{self.name}' does not send {', '.join(unsent)}, so that these changes would be missing; run ALTER"
                f" PUBLICATION {quoted(self.name)} SET (publish = 'insert, update, delete, truncate')",
            )

    def check_tables(self, wanted: Collection[TableName]) -> None:
        """Make sure that it sends these tables."""
        if left_out := [name for name in wanted if name not in self.tables()]:
            raise CaptureError(
                "table_unpublished",
                f"publication '{self.name}' does not send {_joined(left_out)}; run ALTER PUBLICATION {quoted(self.name)}"
                f" ADD TABLE {self._names(left_out)}, or name them in 'exclude'",
            )

    def add(self, names: Sequence[TableName]) -> None:
        """Send further tables from now on."""
        if names:
            self._sql.rows(f"alter publication {quoted(self.name)} add table {self._names(names)}")

    def remove(self, names: Sequence[TableName]) -> None:
        """Send tables no longer."""
        if names:
            self._sql.rows(f"alter publication {quoted(self.name)} drop table {self._names(names)}")

    def drop(self) -> bool:
        """Remove it, where it was made by headrace; whether it was there."""
        if self._config.publication_mode == "existing" or not self.exists():
            return False
        self._sql.rows(f"drop publication {quoted(self.name)}")
        return True

    def _create(self, tables: str) -> None:
        options = "with (publish_via_partition_root = true)"
        try:
            self._sql.rows(f"create publication {quoted(self.name)} {tables} {options}")
        except CaptureError as error:
            if error.code != "access_denied":
                raise
            raise CaptureError(
                "publication_denied",
                f"the user may not create publication '{self.name}' ({error}): that takes CREATE on the database and ownership of"
                " the tables (for all tables a superuser); let somebody who may create it with publish_via_partition_root = true,"
                " and set 'publication' and 'publication_mode: existing'",
            ) from error

    def _has_only(self, wanted: Collection[TableName]) -> bool:
        return set(self.tables()) <= set(wanted)

    def _names(self, names: Collection[TableName]) -> str:
        return ", ".join(quoted(*name) for name in names)


def _joined(names: Sequence[TableName]) -> str:
    return ", ".join(map(str, names))
