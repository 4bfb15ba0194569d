"""How the rows of one table become keys and rows of JSON."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from headrace.connectors.cdc.postgres.values import Converter
from headrace.connectors.cdc.tables import TableName

UNCHANGED = b""
"""Stands in a list of JSON values for a large value that was not sent; JSON is never empty."""


class Column(NamedTuple):
    """A column as it comes from the database, captured or not."""

    name: str
    type: int
    converter: Converter | None
    is_captured: bool = True
    is_identity: bool = False  # among what identifies an old row


class Layout:
    """The columns of a table in the order in which their values come, and what is made of them. Immutable.

    A row is a list with the JSON of every column in this order, null as `null`, and UNCHANGED for what was not sent.

    Args:
        name: the table.
        topic: where its changes go.
        columns: all of them.
        key: the columns of the record's key; none: records have no key.
        identity: which columns of an old row are sent, as in pg_class.relreplident.
        unavailable: what stands for UNCHANGED, as text.
    """

    def __init__(
        self,
        name: TableName,
        topic: str,
        columns: Sequence[Column],
        key: Sequence[str],
        *,
        identity: str,
        unavailable: str,
    ) -> None:
        self.name = name
        self.topic = topic
        self.columns = tuple(columns)
        self.key = tuple(key)
        self.identity = identity
        self.names = [column.name for column in columns]
        self.converters = tuple(column.converter for column in columns)
        self._unavailable = orjson.dumps(unavailable)
        captured = [i for i, column in enumerate(columns) if column.is_captured]
        sent = [i for i in captured if columns[i].is_identity]
        indexes = [self.names.index(one) for one in self.key]
        self.row: Callable[[list[bytes]], bytes] = _writer(self.names, captured)
        self.identity_row: Callable[[list[bytes]], bytes] = _writer(self.names, sent)
        self.key_of: Callable[[list[bytes]], bytes | None] = (
            _writer(self.names, indexes) if indexes else _no_key
        )

    def json_of(self, values: Sequence[bytes | None]) -> list[bytes]:
        """The row of texts as they come out of COPY; None is null."""
        return [
            b"null" if value is None else value if convert is None else convert(value)
            for value, convert in zip(values, self.converters, strict=True)
        ]

    def completed(self, row: list[bytes], old: list[bytes] | None) -> list[bytes]:
        """The row with every UNCHANGED replaced: by the value of the old row where that was sent."""
        return [
            value if value != UNCHANGED else self._unavailable if old is None else old[i]
            for i, value in enumerate(row)
        ]


def _no_key(_: list[bytes]) -> None:
    return None


def _writer(names: Sequence[str], indexes: Sequence[int]) -> Callable[[list[bytes]], bytes]:
    """A function that makes a JSON object of some of the values."""
    fields = b",".join(orjson.dumps(names[i]).replace(b"%", b"%%") + b":%b" for i in indexes)
    form = b"{" + fields + b"}"
    if not indexes:
        return lambda _: b"{}"
    if list(indexes) == list(range(len(names))):
        return lambda row: form % tuple(row)
    pick: Any = itemgetter(*indexes)
    return lambda row: form % pick(row)
