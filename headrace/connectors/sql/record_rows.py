"""The rows that records are, for a table."""

from collections.abc import Sequence
from typing import Any

import orjson

from headrace.connectors.sql.changes import Change, Clear, Put, Remove
from headrace.connectors.sql.column_values import ColumnValues
from headrace.connectors.sql.config import SqlConfig
from headrace.connectors.sql.database import Table
from headrace.connectors.sql.envelope import changes_of, is_envelope
from headrace.runtime.contracts.call import Call, CallFailedError
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described

COLUMN = "column_"


class RecordRows:
    """Says what a record does to a table, whose columns are known."""

    def __init__(self, config: SqlConfig, table: Table) -> None:
        self._config = config
        self.table = table
        self.key: Sequence[str] = config.key or table.key
        self._values = ColumnValues(table.columns, config.epoch, json_is_text=False)
        self._values_of_changes = ColumnValues(table.columns, config.epoch, json_is_text=True)

    def changes(self, call: Call) -> list[Change]:
        """What a record does.

        Raises:
            RecordError: it does not fit the table.
        """
        if not self.key and self._config.write != "insert":
            raise CallFailedError(
                f"table '{self.table.shown}' has no primary key; name the columns that tell rows apart with 'key'"
            )
        unknown = [name for name in self.key if name not in self.table.columns]
        if unknown:
            raise UnknownColumnError(
                f"key: table '{self.table.shown}' has no column '{unknown[0]}'; it has {_listed(self.table)}"
            )
        event = call.event
        source = self._config.source
        if event is None:
            return [self._removed(self._row_of_key(call.key))]
        if source == "debezium" or (
            source == "auto" and not self._config.columns and is_envelope(event)
        ):
            if not isinstance(event, dict):
                raise RecordError(
                    f"from: debezium needs events that are maps, found {described(event)}"
                )
            changes = changes_of(event, self.key)
            return [made for one in changes for made in self._change(one)]
        row = self._row(call)
        if self._config.write == "delete":
            return [self._removed(row)]
        fitting = self._values.row(self._known(row))
        return [Put(self._key_of(fitting), fitting, is_whole=self._config.write != "update")]

    def _row(self, call: Call) -> dict[str, Any]:
        if self._config.columns:
            return {name: call.arguments[COLUMN + name] for name in self._config.columns}
        if not isinstance(call.event, dict):
            raise RecordError(
                f"rows are made of events that are maps, found {described(call.event)}; see 'columns'"
            )
        return call.event

    def _row_of_key(self, key: bytes | None) -> dict[str, Any]:
        """The key of a record that is a deletion: a map with the columns, or the value of the only one."""
        self._check_key()
        if key is None:
            raise RecordError("a null event deletes the row of its key, and this one has no key")
        try:
            found = orjson.loads(key)
        except orjson.JSONDecodeError:
            found = key.decode("utf-8", "replace")
        if isinstance(found, dict):
            payload = found.get("payload")
            return payload if isinstance(payload, dict) and "schema" in found else found
        if len(self.key) == 1:
            return {self.key[0]: found}
        raise RecordError(
            f"a null event deletes the row of its key, which must be a map of {', '.join(self.key)}"
        )

    def _change(self, change: Change) -> list[Change]:
        """A change of the source as one of this table."""
        if isinstance(change, Clear):
            what = self._config.truncate
            if what == "fail":
                raise CallFailedError(
                    "the source was truncated; with `truncate: clear` the table is cleared too, which is right where the"
                    " topic has one partition, and with `truncate: ignore` it keeps its rows"
                )
            return [change] if what == "clear" else []
        if isinstance(change, Remove):
            return [self._removed(change.row)]
        row = self._values_of_changes.row(self._known(change.row))
        return [Put(self._key_of(row), row, change.is_whole)]

    def _check_key(self) -> None:
        if not self.key:
            raise RecordError(
                f"a row is deleted by its key, and table '{self.table.shown}' has none; see 'key'"
            )

    def _removed(self, row: dict[str, Any]) -> Remove:
        self._check_key()
        lacking = [name for name in self.key if name not in row]
        if lacking:
            raise RecordError(f"the row to delete has no '{lacking[0]}' of the key")
        fitting = self._values.row({name: row[name] for name in self.key})
        return Remove(self._key_of(fitting), fitting)

    def _known(self, row: dict[str, Any]) -> dict[str, Any]:
        columns = self.table.columns
        unknown = [name for name in row if name not in columns]
        if unknown and self._config.unknown == "fail":
            raise UnknownColumnError(
                f"table '{self.table.shown}' has no column '{unknown[0]}'; it has {_listed(self.table)};"
                " see 'unknown' and 'columns'"
            )
        return {
            name: value
            for name, value in row.items()
            if name in columns and not columns[name].is_generated
        }

    def _key_of(self, row: dict[str, Any]) -> tuple[Any, ...]:
        """What tells a row apart, as something that can be compared."""
        if self._config.write == "insert" and not self.key:
            return ()
        lacking = [name for name in self.key if name not in row]
        if lacking and self._config.write != "insert":
            raise RecordError(f"the row has no '{lacking[0]}', which is of the key")
        found = tuple(row.get(name) for name in self.key)
        return tuple(str(one) if isinstance(one, dict | list) else one for one in found)


class UnknownColumnError(RecordError):
    """A row has a field for which there is no column; the table may have got one since its columns were read."""


def _listed(table: Table) -> str:
    return ", ".join(list(table.columns)[:20])
