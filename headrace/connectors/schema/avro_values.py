"""Between values as Avro has them and values of JSON: bytes, decimals and times.

A conversion is made once per schema, and only where the schema has something to convert.
"""

import base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal

from headrace.connectors.encoded_values import (
    day_text,
    days_of,
    decimal_of,
    decimal_text,
    moment_of,
    moment_text,
    time_text,
    unscaled_of,
)
from headrace.runtime.flow.suggestion import found

Decimals = Literal["text", "number"]
Conversion = Callable[[Any], Any]
Leaf = Callable[[Mapping[str, Any]], Conversion | None]

UNITS: Final = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}
KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "string": str,
    "enum": str,
    "bytes": bytes,
    "fixed": bytes,
    "array": list,
    "map": Mapping,
    "record": Mapping,
    "error": Mapping,
}


class Misfit(ValueError):  # noqa: N818 # it never leaves the format, which tells it as a RecordError
    """A value that cannot be written; says where, and not what."""

    def __init__(self, why: str, *path: str) -> None:
        self.why = why
        self.path = path
        super().__init__(f"{'.'.join(path)}: {why}" if path else why)


def conversion_of(
    schema: Any,
    leaf: Leaf,
    *,
    is_writing: bool = False,
    known: dict[str, list[Conversion]] | None = None,
    named: dict[str, Any] | None = None,
) -> Conversion | None:
    """A function that converts values of a parsed schema in place, or None where there is nothing to convert."""
    known = {} if known is None else known
    named = {} if named is None else named

    def inner(part: Any) -> Conversion | None:
        return conversion_of(part, leaf, is_writing=is_writing, known=known, named=named)

    if isinstance(schema, str):
        if schema in named:
            return inner(named[schema])
        return leaf({"type": schema})
    if isinstance(schema, list):
        return _of_union(schema, [inner(branch) for branch in schema], named, is_writing)
    kind = schema["type"]
    if kind in ("record", "error"):
        return _of_record(schema, inner, known)
    if kind == "array":
        items = inner(schema["items"])
        return None if items is None else _of_list(items)
    if kind == "map":
        values = inner(schema["values"])
        return None if values is None else _of_map(values)
    return leaf(schema) if isinstance(kind, str) else inner(kind)


def _of_list(inner: Conversion) -> Conversion:
    return lambda value: [inner(one) for one in value]


def _of_map(inner: Conversion) -> Conversion:
    return lambda value: {key: inner(one) for key, one in value.items()}


def _of_record(
    schema: Mapping[str, Any],
    inner: Callable[[Any], Conversion | None],
    known: dict[str, list[Conversion]],
) -> Conversion | None:
    name = schema["name"]
    if name in known:  # it contains itself, or comes again
        made = known[name]
        return lambda value: made[0](value) if made else value
    known[name] = made = []
    fields = [
        (field["name"], conversion)
        for field in schema["fields"]
        if (conversion := inner(field["type"])) is not None
    ]
    if not fields:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(f"must be a record, found {found(value)}")
        changed = {**value}
        for field, converted in fields:
            if field in changed:
                try:
                    changed[field] = converted(changed[field])
                except Misfit as error:
                    raise Misfit(error.why, field, *error.path) from None
                except (ValueError, TypeError, OverflowError, ArithmeticError):
                    raise Misfit(
                        f"does not fit its type, found {found(changed[field])}", field
                    ) from None
        return changed

    made.append(convert)
    return convert


def _of_union(
    branches: list[Any],
    conversions: list[Conversion | None],
    named: Mapping[str, Any],
    is_writing: bool,
) -> Conversion | None:
    if not any(conversions):
        return None
    pairs = list(zip(branches, conversions, strict=True))
    only = [pair for pair in pairs if pair[0] != "null"]
    if len(only) == 1:
        single = only[0][1]
        assert single is not None
        return lambda value: None if value is None else single(value)

    def convert(value: Any) -> Any:
        for branch, conversion in pairs:
            is_plain = conversion is None or not is_writing
            if is_plain and _fits(value, branch, named):
                return value if conversion is None else conversion(value)
        for branch, conversion in pairs:
            if conversion is None or (
                isinstance(value, Mapping) and not _fits(value, branch, named)
            ):
                continue
            try:
                return conversion(value)
            except (ValueError, TypeError, OverflowError, ArithmeticError):
                continue
        return value

    return convert


def _fits(value: Any, branch: Any, named: Mapping[str, Any]) -> bool:
    schema: Any = named.get(branch, branch) if isinstance(branch, str) else branch
    kind = schema["type"] if isinstance(schema, Mapping) else schema
    if isinstance(value, bool) or not isinstance(value, KINDS.get(kind, object)):
        return isinstance(value, bool) and kind == "boolean"
    if kind in ("record", "error") and isinstance(value, Mapping):
        return value.keys() <= {field["name"] for field in schema["fields"]}
    return True


def reading(decimals: Decimals, times: Literal["keep", "iso"]) -> Leaf:
    """What becomes of values that were read."""
    finish: Conversion = float if decimals == "number" else decimal_text

    def leaf(schema: Mapping[str, Any]) -> Conversion | None:
        kind, logical = schema["type"], str(schema.get("logicalType") or "")
        if kind in ("bytes", "fixed"):
            if logical == "decimal":
                scale = int(schema.get("scale", 0))
                return lambda value: finish(decimal_of(value, scale))
            return lambda value: base64.b64encode(value).decode()
        if times == "keep" or kind not in ("int", "long"):
            return None
        if logical == "date":
            return day_text
        what, _, unit = logical.removeprefix("local-").rpartition("-")
        per_second = UNITS.get(unit)
        if per_second is None or what not in ("timestamp", "time"):
            return None
        text = moment_text if what == "timestamp" else time_text
        end = "Z" if logical.startswith("local-") else ""
        return lambda count: text(count, per_second).removesuffix(end)

    return leaf


def writing(schema: Mapping[str, Any]) -> Conversion | None:
    """What becomes of values before they are written: the opposite of `reading`, and numbers are taken as they are."""
    kind, logical = schema["type"], str(schema.get("logicalType") or "")
    if kind in ("bytes", "fixed"):
        if logical == "decimal":
            size = int(schema["size"]) if kind == "fixed" else None
            return lambda value: _unscaled(value, int(schema.get("scale", 0)), size)
        return _bytes
    if logical == "date":
        return lambda value: _count(value, days_of)
    what, _, unit = logical.removeprefix("local-").rpartition("-")
    per_second = UNITS.get(unit)
    if per_second is not None and what == "timestamp":
        return lambda value: _count(value, lambda text: moment_of(text, per_second))
    return None


def _unscaled(value: Any, scale: int, size: int | None) -> bytes:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Misfit(f"must be a decimal, as text or a number, found {found(value)}")
    try:
        number = unscaled_of(Decimal(str(value)), scale)
    except ArithmeticError:
        raise Misfit("must be a decimal, found other text") from None
    except ValueError as error:
        raise Misfit(str(error)) from None
    length = size or (number.bit_length() if number >= 0 else (number + 1).bit_length()) // 8 + 1
    return number.to_bytes(length, signed=True)


def _count(value: Any, parse: Callable[[str], int]) -> Any:
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit(f"must be a time, as text in ISO 8601 or a number, found {found(value)}")
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Misfit(f"must be bytes, as base64 text, found {found(value)}")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise Misfit("must be bytes, as base64 text, found other text") from None


def without_logical_types(schema: Any) -> Any:
    """The schema of what is written, so that values stay as they are encoded."""
    if isinstance(schema, list):
        return [without_logical_types(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {name: value for name, value in schema.items() if name != "logicalType"}
    for name in ("type", "items", "values"):
        if name in plain:
            plain[name] = without_logical_types(plain[name])
    if isinstance(plain.get("fields"), list):
        plain["fields"] = [without_logical_types(field) for field in plain["fields"]]
    return plain


def mend_defaults(schema: Any) -> None:
    """Turn defaults of bytes, which a schema has as text, into bytes: Avro's library writes defaults as they are."""
    if isinstance(schema, list):
        for one in schema:
            mend_defaults(one)
    elif isinstance(schema, dict):
        for field in schema.get("fields", ()):
            kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
            name = kind["type"] if isinstance(kind, Mapping) else kind
            if name in ("bytes", "fixed") and isinstance(field.get("default"), str):
                field["default"] = field["default"].encode("latin-1")
            mend_defaults(field["type"])
        for name in ("items", "values"):
            mend_defaults(schema.get(name))
