"""From messages of Protobuf to values of JSON.

As Protobuf's own JSON mapping, but for what would surprise a flow: whole numbers of 64 bits are numbers, fields keep their names,
and fields that are not set have their default, or null where Protobuf tells the difference.
"""

import base64
from collections.abc import Callable
from typing import Any, Final

Plain = Callable[[Any], Any]

WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)
TIMES: Final = ("google.protobuf.Timestamp", "google.protobuf.Duration")
ANYTHING: Final = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue")


def plain_reader(descriptor: Any, known: dict[str, list[Plain]] | None = None) -> Plain:
    """A function from a message of this type to a map of its fields."""
    known = {} if known is None else known
    name = descriptor.full_name
    if name in TIMES:
        return lambda message: message.ToJsonString()
    if name in WRAPPERS:
        inner = _single(descriptor.fields_by_name["value"], known)
        return lambda message: inner(message.value)
    if name in ANYTHING:
        return _anything
    if name in known:
        made = known[name]
        return lambda message: made[0](message)
    known[name] = made = []
    fields = [(field.name, _field(field, known)) for field in descriptor.fields]

    def read(message: Any) -> dict[str, Any]:
        return {field: get(message) for field, get in fields}

    made.append(read)
    return read


def _field(field: Any, known: dict[str, list[Plain]]) -> Plain:
    name = field.name
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = _single(field.message_type.fields_by_name["value"], known)
        return lambda message: {
            _key(key): value(one) for key, one in getattr(message, name).items()
        }
    single = _single(field, known)
    if field.is_repeated:
        return lambda message: [single(one) for one in getattr(message, name)]
    if field.has_presence:
        return lambda message: single(getattr(message, name)) if message.HasField(name) else None
    return lambda message: single(getattr(message, name))


def _single(field: Any, known: dict[str, list[Plain]]) -> Plain:
    if field.message_type is not None:
        return plain_reader(field.message_type, known)
    if field.enum_type is not None:
        names = {number: one.name for number, one in field.enum_type.values_by_number.items()}
        return lambda number: names.get(number, number)
    if field.type == field.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return _same


def _same(value: Any) -> Any:
    return value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return str(key)


def _anything(message: Any) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message)
