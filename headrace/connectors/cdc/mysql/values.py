"""Values as JSON has them. Snapshot and stream both end here, so that a row reads the same whichever way it came."""

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import orjson

from headrace.connectors.cdc.mysql.columns import Column

Convert = Callable[[Any], Any]
INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
GEOMETRIES = frozenset(
    {
        *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"),
        *("multipolygon", "geometrycollection", "geomcollection"),
    }
)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Spelling:
    """How values are written that JSON has no type for; see `CdcConfig`."""

    decimal: Literal["string", "number"] = "string"
    times: Literal["iso", "epoch_ms"] = "iso"
    json_values: Literal["text", "value"] = "text"


def converter(column: Column, spelling: Spelling) -> Convert:
    """What makes JSON's value of the server's own text (bytes where it is binary). Never called with None."""
    kind = column.type
    is_iso = spelling.times == "iso"
    if kind in INTEGERS:
        return int
    if kind == "float":
        return float_value
    if kind == "double":
        return _double
    if kind == "decimal":
        return _decimal_number if spelling.decimal == "number" else str
    if kind in BINARY:
        return binary_value
    if kind == "bit":
        return _bit if column.length == 1 else _bits
    if kind in GEOMETRIES:
        return _geometry
    if kind == "json":
        return _json_value if spelling.json_values == "value" else _json_text
    times: dict[str, Convert] = {
        "date": _date if is_iso else _date_days,
        "time": str,
        "datetime": _datetime if is_iso else _datetime_ms,
        "timestamp": _timestamp if is_iso else _datetime_ms,
    }
    return times.get(kind, _text)


def float_value(value: str | float) -> float:
    """The shortest number that is this one with the 24 bits of a `float`."""
    number = float(value)
    for digits in (6, 7, 8, 9):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", number):
            return short
    return number


def _double(value: str | float) -> float:
    return float(value)


def _text(value: str | bytes) -> str:
    """Text; what is not text in spite of its type is shown all the same."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def _decimal_number(value: str) -> orjson.Fragment:
    return orjson.Fragment(value)


def binary_value(value: bytes | str) -> str:
    """Bytes in base64, as Debezium has them."""
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


def _bit(value: bytes) -> bool:
    return any(value)


def _bits(value: bytes) -> str:
    return base64.b64encode(value[::-1]).decode()


def _geometry(value: bytes) -> dict[str, Any]:
    """The four bytes before the well-known binary are the reference system; 0 is none."""
    srid = int.from_bytes(value[:4], "little")
    return {"srid": srid or None, "wkb": base64.b64encode(value[4:]).decode()}


def _parsed(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def _json_value(value: Any) -> Any:
    return _parsed(value)


def _json_text(value: Any) -> str:
    return orjson.dumps(_parsed(value), default=_json_default).decode()


def _json_default(value: Any) -> Any:
    """What a JSON column may hold beyond JSON's types."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


# Times of day are lengths of time here, and stay text. A date with a zero in it (0000-00-00) is no date, and null.


def _is_no_date(value: str) -> bool:
    return value.startswith("0000") or value[5:7] == "00" or value[8:10] == "00"


def _date(value: str) -> str | None:
    return None if _is_no_date(value) else value


def _date_days(value: str) -> int | None:
    return None if _is_no_date(value) else (date.fromisoformat(value) - _EPOCH).days


def _datetime(value: str) -> str | None:
    return None if _is_no_date(value) else value.replace(" ", "T")


def _timestamp(value: str) -> str | None:
    return None if _is_no_date(value) else value.replace(" ", "T") + "Z"


def _datetime_ms(value: str) -> int | None:
    if _is_no_date(value):
        return None
    whole, _, fraction = value.partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 + int(f"{fraction:0<3}"[:3])
