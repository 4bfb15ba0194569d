"""Turns decimals and times, as Debezium encodes them in JSON, into text, by the schema that a record carries.

Kafka Connect's JsonConverter writes a decimal as base64 of its unscaled value, big-endian in two's complement; the scale is in
the schema. Times are counts since 1970 UTC, or since midnight, in the unit that the name of the field's type tells.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from headrace.connectors.encoded_values import (
    day_text,
    decimal_of,
    decimal_text,
    moment_text,
    time_text,
)
from headrace.runtime.errors import UndecodableError

Decimals = Literal["keep", "text", "number"]
Times = Literal["keep", "iso"]
Conversion = Callable[[Any], Any]

CONNECT: Final = "org.apache.kafka.connect.data."
DEBEZIUM: Final = "io.debezium.time."
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
        finish: Conversion = float if decimals == "number" else decimal_text
        if name == CONNECT + "Decimal":
            scale = int((schema.get("parameters") or {}).get("scale", 0))
            return lambda text: finish(decimal_of(_bytes(text), scale))
        if name == "io.debezium.data.VariableScaleDecimal":
            return lambda parts: finish(decimal_of(_bytes(parts["value"]), int(parts["scale"])))
    return _of_time(name) if times == "iso" else None


def _of_time(name: str) -> Conversion | None:
    if name in (DEBEZIUM + "Date", CONNECT + "Date"):
        return day_text
    for beginning in (DEBEZIUM, CONNECT):
        for unit, per_second in PER_SECOND.items():
            if name == f"{beginning}{unit}Timestamp":
                return lambda count, n=per_second: moment_text(count, n)  # type: ignore[misc] # a default binds the unit
            if name == f"{beginning}{unit}Time":
                return lambda count, n=per_second: time_text(count, n)  # type: ignore[misc] # likewise
    return None


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
