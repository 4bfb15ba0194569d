"""Turns decimals and times, as Debezium encodes them in JSON, into text, by the schema that a record carries.

Kafka Connect's JsonConverter writes a decimal as base64 of its unscaled value, big-endian in two's complement; the scale is in
the schema. Times are counts since 1970 UTC, or since midnight, in the unit that the name of the field's type tells.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from headrace.runtime.errors import UndecodableError

Decimals = Literal["keep", "text", "number"]
Times = Literal["keep", "iso"]
Conversion = Callable[[Any], Any]

CONNECT: Final = "org.apache.kafka.connect.data."
DEBEZIUM: Final = "io.debezium.time."
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(1970, 1, 1)
PER_SECOND: Final = {"": 1_000, "Micro": 1_000_000, "Nano": 1_000_000_000}


def conversion_of(schema: Any, decimals: Decimals, times: Times) -> Conversion | None:
    """A function that converts a value of this schema, or None where there is nothing to convert in it."""
    if not isinstance(schema, Mapping):
        return None
    own = _of_name(schema, decimals, times)
    if own is not None:
        return _unless_null(own)
    kind = schema.get("type")
    if kind == "struct":
        return _of_struct(schema, decimals, times)
    if kind == "array":
        inner = conversion_of(schema.get("items"), decimals, times)
        return None if inner is None else _unless_null(_of_list(inner))
    if kind == "map":
        inner = conversion_of(schema.get("values"), decimals, times)
        return None if inner is None else _unless_null(_of_map(inner))
    return None


def _of_struct(schema: Mapping[str, Any], decimals: Decimals, times: Times) -> Conversion | None:
    fields = {
        str(field["field"]): inner
        for field in schema.get("fields") or ()
        if (inner := conversion_of(field, decimals, times)) is not None
    }
    if not fields:
        return None

    def convert(value: Any) -> Any:
        for name, inner in fields.items():  # in place: the value was decoded for this record alone
            if name in value:
                value[name] = inner(value[name])
        return value

    return _unless_null(convert)


def _of_list(inner: Conversion) -> Conversion:
    return lambda items: [inner(one) for one in items]


def _of_map(inner: Conversion) -> Conversion:
    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: inner(one) for key, one in value.items()}
        return [[key, inner(one)] for key, one in value]  # what a map is whose keys are no text

    return convert


def _unless_null(convert: Conversion) -> Conversion:
    def converted(value: Any) -> Any:
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, TypeError, KeyError, OverflowError, ArithmeticError) as error:
            raise UndecodableError(
                f"a value does not fit the schema beside it ({type(error).__name__})"
            ) from None

    return converted


def _of_name(schema: Mapping[str, Any], decimals: Decimals, times: Times) -> Conversion | None:
    name = str(schema.get("name") or "")
    if decimals != "keep":
        finish: Conversion = float if decimals == "number" else _plain
        if name == CONNECT + "Decimal":
            scale = int((schema.get("parameters") or {}).get("scale", 0))
            return lambda text: finish(_decimal(text, scale))
        if name == "io.debezium.data.VariableScaleDecimal":
            return lambda parts: finish(_decimal(parts["value"], int(parts["scale"])))
    return _of_time(name) if times == "iso" else None


def _of_time(name: str) -> Conversion | None:
    if name in (DEBEZIUM + "Date", CONNECT + "Date"):
        return lambda days: (EPOCH_DAY + timedelta(days=days)).isoformat()
    for beginning in (DEBEZIUM, CONNECT):
        for unit, per_second in PER_SECOND.items():
            if name == f"{beginning}{unit}Timestamp":
                return lambda count, n=per_second: _moment(count, n)  # type: ignore[misc] # a default binds the unit
            if name == f"{beginning}{unit}Time":
                return lambda count, n=per_second: _time_of_day(count, n)  # type: ignore[misc] # likewise
    return None


def _decimal(text: str, scale: int) -> Decimal:
    unscaled = int.from_bytes(base64.b64decode(text, validate=True), signed=True)
    sign, digits, _ = Decimal(unscaled).as_tuple()
    return Decimal((sign, digits, -scale))  # exact, whatever the precision of the context


def _plain(number: Decimal) -> str:
    return format(number, "f")


def _fraction(rest: int, per_second: int) -> str:
    if not rest:
        return ""
    width = len(str(per_second)) - 1
    return f".{rest:0{width}d}".rstrip("0")


def _moment(count: int, per_second: int) -> str:
    seconds, rest = divmod(count, per_second)
    moment = EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(rest, per_second)}Z"


def _time_of_day(count: int, per_second: int) -> str:
    seconds, rest = divmod(count, per_second)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}{_fraction(rest, per_second)}"
