"""Changes as records: Debezium's envelope around rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import orjson

from headrace.connectors.cdc.mysql.shape import Row
from headrace.connectors.cdc.tables import TableName

Operation = Literal["r", "c", "u", "d", "t"]


@dataclass
class Records:
    """Writes envelopes for one server.

    `begin` is called per change of a place in the log, so that the part of the envelope that says where it was is made once for
    all rows of that place.
    """

    connector: str
    prefix: str
    _source: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._source = {
            "version": version("headrace"),
            "connector": self.connector,
            "name": self.prefix,
        }

    def source(
        self, table: TableName, timestamp_ms: int, place: Mapping[str, Any]
    ) -> orjson.Fragment:
        """The envelope's `source` for rows of one table at one place."""
        return orjson.Fragment(
            orjson.dumps(
                {
                    **self._source,
                    "ts_ms": timestamp_ms,
                    "snapshot": "false",
                    "db": table.schema,
                    "table": table.table,
                    **place,
                }
            )
        )

    @staticmethod
    def envelope(
        operation: Operation,
        before: Row | None,
        after: Row | None,
        source: orjson.Fragment,
        now_ms: int,
    ) -> bytes:
        return orjson.dumps(
            {
                "before": before,
                "after": after,
                "source": source,
                "op": operation,
                "ts_ms": now_ms,
                "transaction": None,
            }
        )

    @staticmethod
    def key(row: Row, columns: Sequence[str]) -> bytes | None:
        """The record's key; None for a table without one."""
        return orjson.dumps({name: row[name] for name in columns}) if columns else None
