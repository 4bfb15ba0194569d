"""Conversions of field values, for `map` with `convert`. Messages never hold the value."""

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import orjson

from headrace.runtime.errors import RecordError

TypeName = Literal["int", "float", "string", "bool", "json"]
TRUE_TEXTS = frozenset({"true", "1", "yes", "on"})
FALSE_TEXTS = frozenset({"false", "0", "no", "off"})
DIGITS_MAX = 4_000
"""Longer numbers are refused: converting them takes time that grows with the square of their length."""


def _kind(value: object) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "number",
        float: "number",
        list: "list",
        dict: "object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _refused(value: object, wanted: str) -> RecordError:
    return RecordError(f"cannot convert {_kind(value)} to {wanted}")


def to_int(value: Any) -> int:
    """Whole numbers, numbers with a fraction (cut towards zero), and texts of either."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str) and len(value) <= DIGITS_MAX:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise RecordError("cannot convert text to int: it is no number") from None
        if number.is_finite() and number.adjusted() < DIGITS_MAX:
            return int(number)
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    raise _refused(value, "int")


def to_float(value: Any) -> float:
    """Numbers and texts of numbers; not what is too large for one, since JSON has no infinity."""
    if not isinstance(value, int | float | str):
        raise _refused(value, "float")
    try:
        number = float(value)
    except ValueError:
        raise RecordError("cannot convert text to float: it is no number") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RecordError(f"cannot convert {_kind(value)} to float: it is not finite")
    return number


def to_string(value: Any) -> str:
    """Text as it is, bytes as UTF-8, everything else as JSON spells it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RecordError("cannot convert bytes to string: they are not UTF-8") from None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise RecordError(f"cannot convert {_kind(value)} to string: {error}") from None


def to_bool(value: Any) -> bool:
    """Truth values, 0 and 1, and the words true/false, yes/no, on/off."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE_TEXTS or word in FALSE_TEXTS:
            return word in TRUE_TEXTS
    raise RecordError(
        f"cannot convert {_kind(value)} to bool: it is none of true, false, yes, no, on, off, 1, 0"
    )


def to_json(value: Any) -> Any:
    """Text or bytes that hold JSON, decoded."""
    if isinstance(value, str | bytes):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise RecordError(f"cannot convert {_kind(value)} to json: it is not JSON") from None
    raise _refused(value, "json")


CONVERSIONS: dict[TypeName, Callable[[Any], Any]] = {
    "int": to_int,
    "float": to_float,
    "string": to_string,
    "bool": to_bool,
    "json": to_json,
}
