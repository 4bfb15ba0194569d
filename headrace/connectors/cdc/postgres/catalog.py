"""What PostgreSQL's catalog says of tables, columns, keys and types."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.values import TypeRow
from headrace.connectors.cdc.tables import TableName

_TABLES = """
select c.oid::int8, n.nspname, c.relname, c.relreplident::text, greatest(c.reltuples, -1)::int8
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
order by 2, 3
"""
_COLUMNS = """
select attrelid::int8, attname, atttypid::int8
from pg_attribute
where attrelid = any(%s::oid[]) and attnum > 0 and not attisdropped and attgenerated = ''
order by attrelid, attnum
"""
_KEYS = """
select i.indrelid::int8, i.indisprimary, i.indisreplident, a.attname
from pg_index i
  cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = any(%s::oid[]) and (i.indisprimary or i.indisreplident) and k.place <= i.indnkeyatts
order by i.indrelid, k.place
"""
_TYPES = """
select oid::int8, typbasetype::int8,
  case when typcategory = 'A' and typlen = -1 then typelem::int8 else 0 end, typdelim::text
from pg_type
"""


class CatalogTable(NamedTuple):
    """A table as it is now. `identity` is pg_class.relreplident; `rows` an estimate, -1 unknown."""

    oid: int
    name: TableName
    identity: str
    rows: int
    columns: tuple[tuple[str, int], ...]  # names and types
    primary_key: tuple[str, ...]
    identity_index: tuple[str, ...]

    @property
    def sent_columns(self) -> tuple[str, ...]:
        """The columns of an old row that updates and deletes send."""
        if self.identity == "f":
            return tuple(name for name, _ in self.columns)
        return {"d": self.primary_key, "i": self.identity_index}.get(self.identity, ())

    @property
    def natural_key(self) -> tuple[str, ...]:
        """The columns that tell rows apart: those of the identity index, or of the primary key."""
        return (self.identity_index if self.identity == "i" else ()) or self.primary_key


def tables(sql: Sql) -> list[tuple[int, TableName, str, int]]:
    """Every table that could be captured: oid, name, replica identity, estimated rows."""
    return [
        (oid, TableName(schema, table), identity, rows)
        for oid, schema, table, identity, rows in sql.rows(_TABLES)
    ]


def described(sql: Sql, chosen: Iterable[tuple[int, TableName, str, int]]) -> list[CatalogTable]:
    """Tables with their columns and keys."""
    chosen = list(chosen)
    oids = [oid for oid, *_ in chosen]
    columns: dict[int, list[tuple[str, int]]] = {oid: [] for oid in oids}
    for oid, column, type_ in sql.rows(_COLUMNS, [oids]):
        columns[oid].append((column, type_))
    primary: dict[int, list[str]] = {oid: [] for oid in oids}
    identities: dict[int, list[str]] = {oid: [] for oid in oids}
    for oid, is_primary, is_identity, column in sql.rows(_KEYS, [oids]):
        if is_primary:
            primary[oid].append(column)
        if is_identity:
            identities[oid].append(column)
    return [
        CatalogTable(
            oid,
            name,
            identity,
            rows,
            tuple(columns[oid]),
            tuple(primary[oid]),
            tuple(identities[oid]),
        )
        for oid, name, identity, rows in chosen
    ]


def types(sql: Sql) -> Mapping[int, TypeRow]:
    """The types of the database by their oid."""
    return {row[0]: TypeRow(*row) for row in sql.rows(_TYPES)}


def missing(exact: Sequence[TableName], existing: Iterable[TableName]) -> list[TableName]:
    """The tables that are named and do not exist."""
    found = set(existing)
    return [name for name in exact if name not in found]
