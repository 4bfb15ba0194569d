"""The captured tables: which they are, what their keys are, and how their rows are written."""

from collections.abc import Iterable, Mapping, Sequence

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.postgres import catalog
from headrace.connectors.cdc.postgres.catalog import CatalogTable
from headrace.connectors.cdc.postgres.connection import Sql
from headrace.connectors.cdc.postgres.layout import Column, Layout
from headrace.connectors.cdc.postgres.pgoutput import Relation
from headrace.connectors.cdc.postgres.values import Conversion, TypeRow, masked
from headrace.connectors.cdc.source import SourcePlace, SourceTable
from headrace.connectors.cdc.tables import TableName, Tables, topic_of


class Captured:
    """Asks the catalog when `refresh` is called, and remembers. Belongs to a source."""

    def __init__(self, place: SourcePlace) -> None:
        config = place.config
        self._place = place
        self._config = config
        self._chosen = Tables(config.tables, config.exclude)
        self._conversion = Conversion(config.decimal, config.times, config.json_values)
        self._types: Mapping[int, TypeRow] = {}
        self.tables: dict[TableName, CatalogTable] = {}
        self.missing: Sequence[TableName] = ()

    def refresh(self, sql: Sql) -> None:
        """Look which tables there are.

        Raises:
            CaptureError: one cannot be captured as it is.
        """
        self.look(sql)
        topics: dict[str, TableName] = {}
        for name, table in self.tables.items():
            self._check(table)
            other = topics.setdefault(topic_of(self._place.prefix, name), name)
            if other != name:
                raise CaptureError(
                    "topic_collision",
                    f"tables {other} and {name} would have one topic, since Kafka's names allow only letters, digits,"
                    " '.', '_' and '-'; capture them in two stages with a 'topic_prefix' each",
                )

    def look(self, sql: Sql) -> None:
        """The same without any judgement."""
        existing = catalog.tables(sql)
        wanted = set(self._chosen.chosen(name for _, name, _, _ in existing))
        self.tables = {
            table.name: table
            for table in catalog.described(sql, [one for one in existing if one[1] in wanted])
        }
        self.missing = catalog.missing(self._chosen.exact, self.tables)
        self._types = catalog.types(sql)

    def _check(self, table: CatalogTable) -> None:
        if self._config.outbox is not None:
            return
        for problem in self.problems(table):
            raise CaptureError("replica_identity", problem)

    def problems(self, table: CatalogTable) -> list[str]:
        """Why a table cannot be captured as it is."""
        name = table.name
        if not table.sent_columns:
            text = (
                f"table {name} has no replica identity (no primary key, or REPLICA IDENTITY NOTHING), so that PostgreSQL would"
                " refuse UPDATE and DELETE on it once it is published: give it a primary key, or run"
                f" ALTER TABLE {name} REPLICA IDENTITY FULL, or name it in 'exclude'"
            )
            return [text]
        columns = {column for column, _ in table.columns}
        key = self.key(table)
        if unknown := [column for column in key if column not in columns]:
            return [f"keys: table {name} has no column '{unknown[0]}'"]
        if unsent := [column for column in key if column not in table.sent_columns]:
            text = (
                f"keys: PostgreSQL does not send column '{unsent[0]}' of {name} with deletes; run"
                f" ALTER TABLE {name} REPLICA IDENTITY FULL, or leave it out of the key"
            )
            return [text]
        return []

    def key(self, table: CatalogTable) -> tuple[str, ...]:
        """The columns of the record's key."""
        named: tuple[str, ...] | None = self._chosen.of(self._config.keys, table.name)
        return named or table.natural_key

    def order(self, table: CatalogTable) -> tuple[str, ...]:
        """The columns by which rows are read in chunks; none where rows cannot be told apart by their keys."""
        natural = table.natural_key
        return natural if natural and set(natural) <= set(self.key(table)) else ()

    def source_tables(self) -> list[SourceTable]:
        """The tables in the contract's terms, those without a key first."""
        found = [
            SourceTable(
                name=table.name,
                topic=self.topic(table.name),
                has_key=bool(self.order(table)),
                rows=table.rows,
            )
            for table in self.tables.values()
        ]
        return sorted(found, key=lambda table: (table.has_key, table.name))

    def not_chosen(self, names: Iterable[TableName]) -> list[TableName]:
        """Those of the tables that the config does not name."""
        names = list(names)
        chosen = set(self._chosen.chosen(names))
        return [name for name in names if name not in chosen]

    def topic(self, name: TableName) -> str:
        return "" if self._config.outbox is not None else self._place.topic(name)

    # Layouts

    def layout(self, table: CatalogTable, published: Sequence[str] | None = None) -> Layout:
        """For rows as the catalog describes them; `published` are the columns of the publication where it has a list."""
        columns = [
            (name, type_) for name, type_ in table.columns if published is None or name in published
        ]
        return self._layout(
            table.name, columns, self.key(table), table.identity, set(table.sent_columns)
        )

    def layout_of(self, sql: Sql, relation: Relation) -> Layout | None:
        """For rows as the stream describes them; None for a table that is not captured."""
        name = TableName(relation.schema, relation.table)
        if not self._chosen.chosen([name]):
            return None
        if name not in self.tables or any(one.type not in self._types for one in relation.columns):
            self.look(sql)
        table = self.tables.get(name)
        identity = [column.name for column in relation.columns if column.is_identity]
        from_identity = tuple(identity) if relation.identity in "di" else ()  # dropped since
        key = self.key(table) if table is not None else from_identity
        names = {column.name for column in relation.columns}
        if lost := [column for column in key if column not in names]:
            raise CaptureError(
                "key_changed",
                f"column '{lost[0]}' of the key of {name} is not among those that PostgreSQL sends"
                f" ({', '.join(sorted(names))}): it was renamed, dropped, or is not published; name the"
                " columns of the key in 'keys'",
            )
        columns = [(column.name, column.type) for column in relation.columns]
        return self._layout(name, columns, key, relation.identity, set(identity))

    def _layout(
        self,
        name: TableName,
        columns: Sequence[tuple[str, int]],
        key: Sequence[str],
        identity: str,
        sent: set[str],
    ) -> Layout:
        chosen = self._chosen.of(self._config.columns, name)
        found = []
        for column, type_ in columns:
            is_captured = chosen is None or (
                column in key
                or (
                    (not chosen.include or column in chosen.include)
                    and column not in chosen.exclude
                )
            )
            converter = self._conversion.of(type_, self._types)
            if chosen is not None and column in chosen.mask and column not in key:
                converter = masked
            found.append(Column(column, type_, converter, is_captured, column in sent))
        return Layout(
            name,
            self.topic(name),
            found,
            key,
            identity=identity,
            unavailable=self._config.unavailable,
        )
