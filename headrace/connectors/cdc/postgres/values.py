"""PostgreSQL's text of a value as JSON: one set of converters for snapshot and stream, so that both give the same bytes."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import orjson

Converter = Callable[[bytes], bytes]
"""Makes JSON of a text that is not null. None in its place means that the text is JSON already."""

_INTEGERS = frozenset({20, 21, 23, 26})
_FLOATS = frozenset({700, 701})
_PLAIN = frozenset({2950, 869, 650, 829, 774, 1083, 1266, 1186, 1560, 1562, 3220, 27, 28})
"""Types whose text needs no escapes: uuid, addresses, times of day, intervals, bits, positions."""
BOOL, BYTEA, DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC = 16, 17, 1082, 1114, 1184, 1700
_JSON = frozenset({114, 3802})
_DOMAINS_MAX = 16
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MASK = b'"***"'


@dataclass(frozen=True)
class TypeRow:
    """A row of pg_type, as far as it matters: `element` is 0 unless it is an array, `base` 0 unless it is a domain."""

    oid: int
    base: int
    element: int
    delimiter: str


@dataclass(frozen=True)
class Conversion:
    """How values are written; see the config's keys of the same names."""

    decimal: Literal["string", "number"] = "string"
    times: Literal["iso", "epoch_ms"] = "iso"
    json_values: Literal["text", "value"] = "text"

    def of(self, oid: int, types: Mapping[int, TypeRow]) -> Converter | None:
        """The converter of a type."""
        for _ in range(_DOMAINS_MAX):
            row = types.get(oid)
            if row is None or not row.base:
                break
            oid = row.base
        if row is not None and row.element:
            return _array(self.of(row.element, types), row.delimiter)
        if oid in _INTEGERS or (oid in _JSON and self.json_values == "value"):
            return None
        if oid in _FLOATS or (oid == NUMERIC and self.decimal == "number"):
            return _number
        if oid in _PLAIN or oid == NUMERIC:
            return _quoted
        if oid in (DATE, TIMESTAMP, TIMESTAMPTZ):
            return self._time(oid)
        return {BOOL: _boolean, BYTEA: _binary}.get(oid, text)

    def _time(self, oid: int) -> Converter:
        if self.times == "epoch_ms":
            return _days if oid == DATE else _milliseconds
        return {DATE: _quoted, TIMESTAMP: _local_time, TIMESTAMPTZ: _instant}[oid]


def text(value: bytes) -> bytes:
    """Any text as a JSON string; what is not UTF-8, as in a database with SQL_ASCII, with its bytes in hexadecimal."""
    try:
        return orjson.dumps(value.decode())
    except UnicodeDecodeError:
        return orjson.dumps(value.decode(errors="backslashreplace"))


def masked(value: bytes) -> bytes:  # noqa: ARG001 # that is the point
    """Nothing of the value."""
    return _MASK


def _quoted(value: bytes) -> bytes:
    return b'"' + value + b'"'


def _number(value: bytes) -> bytes:
    return value if value[-1:].isdigit() else b'"' + value + b'"'  # NaN, Infinity


def _boolean(value: bytes) -> bytes:
    return b"true" if value == b"t" else b"false"


def _binary(value: bytes) -> bytes:
    return b'"' + b64encode(bytes.fromhex(value[2:].decode())) + b'"'


def _local_time(value: bytes) -> bytes:
    """`2026-11-21 01:58:49.5` with a `T`; infinity, and years outside of 1 to 9999, as PostgreSQL writes them."""
    if value[10:11] != b" " or value[-1:] == b"C":
        return b'"' + value + b'"'
    return b'"' + value[:10] + b"T" + value[11:] + b'"'


def _instant(value: bytes) -> bytes:
    """`2026-11-21 01:58:49.5+00` (the session's time zone is UTC) as `2026-11-21T01:58:49.5Z`."""
    if value[-3:] != b"+00" or value[10:11] != b" ":
        return b'"' + value + b'"'
    return b'"' + value[:10] + b"T" + value[11:-3] + b'Z"'


def _days(value: bytes) -> bytes:
    try:
        return b"%d" % (date.fromisoformat(value.decode()).toordinal() - _EPOCH_DAY)
    except ValueError:  # outside of Python's years, or infinite
        return _quoted(value)


def _milliseconds(value: bytes) -> bytes:
    try:
        moment = datetime.fromisoformat(value.decode())
    except ValueError:
        return _quoted(value)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return b"%d" % (since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000)


_BOUNDS = re.compile(rb"^\[[^{]*=")


def _array(element: Converter | None, delimiter: str) -> Converter:
    """`{1,NULL,{2}}` as `[1,null,[2]]`."""
    sign = re.escape(delimiter.encode())
    tokens = re.compile(rb'[{}]|"((?:[^"\\]|\\.)*)"|[^{}%s"]+' % sign, re.DOTALL)

    def convert(value: bytes) -> bytes:
        parts: list[bytes] = []
        for found in tokens.finditer(_BOUNDS.sub(b"", value)):
            token = found[0]
            if token == b"}":
                parts.append(b"]")
                continue
            if parts and parts[-1] != b"[":
                parts.append(b",")
            if token == b"{":
                parts.append(b"[")
            elif token == b"NULL":
                parts.append(b"null")
            else:
                item = token if found[1] is None else _UNESCAPE.sub(rb"\1", found[1])
                parts.append(item if element is None else element(item))
        return b"".join(parts)

    return convert


_UNESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_COPY_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_COPY_SIGNS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def copied_values(line: bytes) -> list[bytes | None]:
    """The values in a line of `COPY ... TO STDOUT` in its text format."""
    line = line[:-1] if line.endswith(b"\n") else line
    if b"\\" not in line:
        return line.split(b"\t")  # type: ignore[return-value] # a list of bytes is one of bytes or None
    return [
        None
        if value == b"\\N"
        else _COPY_ESCAPE.sub(lambda found: _COPY_SIGNS.get(found[1], found[1]), value)
        for value in line.split(b"\t")
    ]
