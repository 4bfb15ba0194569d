"""How the row images of one table become rows: one reader per column, made of what the log says of the table."""

import codecs
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.mysql import decoding
from headrace.connectors.cdc.mysql.columns import Column, TableColumns
from headrace.connectors.cdc.mysql.decoding import Read
from headrace.connectors.cdc.mysql.values import Convert, Spelling, converter
from headrace.connectors.cdc.tables import TableName

Row = dict[str, Any]
MASK = "***"
_INTEGER_TYPES = {
    decoding.TINY: "tinyint",
    decoding.SHORT: "smallint",
    decoding.INT24: "mediumint",
    decoding.LONG: "int",
    decoding.LONGLONG: "bigint",
}
_ENCODINGS = {
    "utf8": "utf-8",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
    "latin1": "cp1252",
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
    "ujis": "euc_jp",
    "eucjpms": "euc_jp",
    "sjis": "shift_jis",
    "euckr": "euc_kr",
    "hebrew": "iso8859_8",
    "greek": "iso8859_7",
    "latin2": "iso8859_2",
    "latin5": "iso8859_9",
    "latin7": "iso8859_13",
    "macroman": "mac_roman",
    "macce": "mac_latin2",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "tis620": "tis_620",
}
_PACKED = ("uuid", "inet6", "inet4")
"""Types of MariaDB whose values are bytes in the log and text in a query."""


@dataclass(frozen=True)
class Choice:
    """What of a table's rows goes into records. `columns` is the table as it is now; the log may differ."""

    key: tuple[str, ...] | None  # None: as the log, or else the server, says
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    mask: frozenset[str]
    columns: TableColumns
    spelling: Spelling

    def keeps(self, name: str, key: Sequence[str]) -> bool:
        if name in key:
            return True
        return name not in self.exclude and (not self.include or name in self.include)


class Shape:
    """A table at one place of the log: makes rows of row images. Used by one thread."""

    def __init__(self, name: TableName, found: Sequence[Any], choice: Choice) -> None:
        self.name = name
        self.names = tuple(str(column.name) for column in found)
        self.key = self._key_of(found, choice)
        missing = [one for one in self.key if one not in self.names]
        if missing:
            raise CaptureError(
                "key_missing",
                f"table {name} has no column '{missing[0]}', which is of its key; see 'keys'",
            )
        described = {column.name: column for column in choice.columns.columns}
        self._readers: list[tuple[str, Read, Convert | None, bool]] = []
        for column in found:
            read, convert = _reader(name, column, described.get(column.name), choice.spelling)
            if column.name in choice.mask:
                convert = _masked
            self._readers.append((column.name, read, convert, choice.keeps(column.name, self.key)))
        self._null_bytes = (len(self._readers) + 7) // 8

    @staticmethod
    def _key_of(found: Sequence[Any], choice: Choice) -> tuple[str, ...]:
        if choice.key is not None:
            return choice.key
        logged = tuple(str(column.name) for column in found if column.is_primary)
        known = choice.columns.key
        return known if not logged or set(logged) == set(known) else logged

    def read(self, data: bytes, at: int) -> tuple[Row, int]:
        """The row image at a place, and where the next one begins."""
        nulls = int.from_bytes(data[at : at + self._null_bytes], "little")
        at += self._null_bytes
        row: Row = {}
        for name, read, convert, is_kept in self._readers:
            if nulls & 1:
                if is_kept:
                    row[name] = None
            else:
                value, at = read(data, at)
                if is_kept:
                    row[name] = value if convert is None else convert(value)
            nulls >>= 1
        return row, at


def _masked(_: Any) -> str:
    return MASK


def signature(found: Sequence[Any]) -> tuple[Any, ...]:
    """What tells one shape of a table from another."""
    return tuple(tuple(sorted((k, str(v)) for k, v in vars(column).items())) for column in found)


def _reader(
    table: TableName, column: Any, described: Column | None, spelling: Spelling
) -> tuple[Read, Convert | None]:
    """How a column's values are read, and what is made of them."""
    kind: int = column.type
    if kind in _INTEGER_TYPES:
        return decoding.integer(decoding.SIZES[kind], is_unsigned=bool(column.unsigned)), None
    if kind == decoding.YEAR:
        return decoding.year, None
    label = "enum" if kind == decoding.ENUM else "set" if kind == decoding.SET else ""
    if label:
        labels = _labels(column, described)
        make = decoding.enum if label == "enum" else decoding.choices
        return make(column.size, labels), None
    known = Column(column.name, _type_name(column, described), length=_length(column))
    return _plain_reader(table, column, known), converter(known, spelling)


def _labels(column: Any, described: Column | None) -> tuple[str, ...]:
    """The labels; the log has them in the table's own encoding, which the client reads as UTF-8 or not at all."""
    logged = column.enum_values[1:] if column.type == decoding.ENUM else column.set_values
    labels = tuple(logged or ())
    if "" in labels and described is not None and len(described.labels) == len(labels):
        return described.labels
    return labels


def _length(column: Any) -> int:
    return int(column.bits) if column.type == decoding.BIT else 0


def _type_name(column: Any, described: Column | None) -> str:
    kind: int = column.type
    if described is not None and described.type in _PACKED and kind == decoding.STRING:
        return described.type
    fixed = {
        decoding.FLOAT: "float",
        decoding.DOUBLE: "double",
        decoding.NEWDECIMAL: "decimal",
        decoding.BIT: "bit",
        decoding.GEOMETRY: "geometry",
        decoding.JSON: "json",
        decoding.DATE: "date",
        decoding.TIME2: "time",
        decoding.DATETIME2: "datetime",
        decoding.TIMESTAMP2: "timestamp",
    }
    return fixed.get(kind) or ("blob" if _is_binary(column) else "text")


def _is_binary(column: Any) -> bool:
    return column.character_set_name in (None, "binary") or column.collation_name == "binary"


def _plain_reader(table: TableName, column: Any, known: Column) -> Read:
    kind: int = column.type
    if kind in (decoding.FLOAT, decoding.DOUBLE):
        return decoding.floating("<f" if kind == decoding.FLOAT else "<d")
    if kind == decoding.NEWDECIMAL:
        return decoding.decimal(column.precision, column.decimals)
    if kind == decoding.BIT:
        return decoding.bits(column.bytes)
    if kind == decoding.DATE:
        return decoding.date
    timed: dict[int, Callable[[int], Read]] = {
        decoding.TIME2: decoding.time2,
        decoding.DATETIME2: decoding.datetime2,
        decoding.TIMESTAMP2: decoding.timestamp2,
    }
    if kind in timed:
        return timed[kind](column.fsp)
    if kind == decoding.JSON:
        return _json_reader(decoding.counted(column.length_size))
    if kind in (decoding.BLOB, decoding.GEOMETRY):
        inner = decoding.counted(column.length_size)
    elif kind in (decoding.VARCHAR, decoding.STRING, 253):
        inner = decoding.counted(2 if column.max_length > 255 else 1)
    else:
        raise CaptureError(
            "type_unknown",
            f"column '{column.name}' of {table} has the type {kind} of the binary log, which headrace cannot read; leave the"
            " column out with 'columns'",
        )
    if known.type in _PACKED:
        return _packed_reader(decoding.padded(inner, column.max_length), known.type)
    if kind == decoding.GEOMETRY:
        return inner
    if known.type == "blob":
        return decoding.padded(inner, column.max_length) if kind == decoding.STRING else inner
    return decoding.text(inner, _encoding(table, column))


def _encoding(table: TableName, column: Any) -> str:
    name = str(column.character_set_name)
    found = _ENCODINGS.get(name, name)
    try:
        return codecs.lookup(found).name
    except LookupError:
        raise CaptureError(
            "encoding_unknown",
            f"column '{column.name}' of {table} has the character set {name}, which Python cannot read; convert it, or leave"
            " the column out with 'columns'",
        ) from None


def _packed_reader(inner: Read, kind: str) -> Read:
    spell = {"uuid": _uuid, "inet6": _inet, "inet4": _inet}[kind]

    def read(data: bytes, at: int) -> tuple[str, int]:
        value, end = inner(data, at)
        return spell(value), end

    return read


def _inet(value: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)


def _uuid(value: bytes) -> str:
    return str(UUID(bytes=value))


def _json_reader(inner: Read) -> Read:
    """MySQL's own binary form of JSON."""
    from pymysqlreplication.json_binary import parse_json

    def read(data: bytes, at: int) -> tuple[Any, int]:
        value, end = inner(data, at)
        return (parse_json(value[0], value[1:]) if value else None), end

    return read
