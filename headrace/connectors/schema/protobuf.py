"""`format: protobuf`.

Schemas are fetched as descriptors (`format=serialized` of the registry's API), so that no compiler of `.proto` files is needed.
"""

import base64
import re
from importlib import import_module
from typing import Any, Final

from headrace.connectors.schema.framed import FRAME, FramedFormat, Reader, Writer
from headrace.connectors.schema.protobuf_values import plain_reader
from headrace.connectors.schema.registry import EXTRA, Registry
from headrace.runtime.errors import RecordError, SettingsError, UndecodableError

MESSAGE: Final = re.compile(r"(?:^|[;}])\s*message\s+([A-Za-z_]\w*)", re.MULTILINE)
PACKAGE: Final = re.compile(r"(?:^|[;}])\s*package\s+([\w.]+)\s*;", re.MULTILINE)
FIELD: Final = re.compile(r'(?:Failed to parse |no field named ")(\w+)')
WELL_KNOWN: Final = "google/protobuf/"
INDEXES_MAX: Final = 100


class ProtobufFormat(FramedFormat):
    """Messages of Protobuf; numbers are numbers, enumerations their names, bytes base64 text."""

    kind = "PROTOBUF"
    takes_descriptors = True

    def summary(self) -> str:
        return "Protobuf"

    def check_installed(self) -> None:
        try:
            import google.protobuf  # noqa: F401 # asked for, not used
        except ImportError as error:
            raise SettingsError(f"format: protobuf needs the extra: {EXTRA}") from error

    def record_name(self, schema: Any) -> str:
        message = self.options.schema_.message or (
            named[1] if (named := MESSAGE.search(schema.schema_str)) else None
        )
        if message is None:
            raise RecordError("the schema has no message, which has the name to make a subject of")
        package = PACKAGE.search(schema.schema_str)
        return f"{package[1]}.{message}" if package and "." not in message else message

    def reader(self, registry: Registry, schema: Any, id_: int) -> Reader:
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass

        file = _file(registry, schema, id_)
        known: dict[bytes, Any] = {}

        def read(value: bytes) -> Any:
            indexes, start = _indexes(value)
            made = known.get(value[FRAME:start])
            if made is None:
                descriptor = _at(file, indexes, id_)
                made = GetMessageClass(descriptor), plain_reader(descriptor)
                known[value[FRAME:start]] = made
            try:
                message = made[0].FromString(value[start:])
            except DecodeError:
                raise UndecodableError(f"it is no message of its schema {id_}") from None
            return made[1](message)

        return read

    def writer(self, registry: Registry, schema: Any, id_: int, frame: bytes) -> Writer:
        from google.protobuf.json_format import ParseDict, ParseError
        from google.protobuf.message_factory import GetMessageClass

        file = _file(registry, schema, id_)
        descriptor = _named(file, self.options.schema_.message, id_)
        made = GetMessageClass(descriptor)
        beginning = frame + _index_bytes(descriptor)

        def write(event: Any) -> bytes:
            if not isinstance(event, dict):
                raise RecordError(
                    f"the event does not fit message {descriptor.full_name}: it is no map"
                )
            message = made()
            try:
                ParseDict(event, message, descriptor_pool=file.pool)
                data: bytes = message.SerializeToString(deterministic=True)
                return beginning + data
            except (ParseError, ValueError, TypeError) as error:
                names = FIELD.findall(str(error))
                where = f"field '{names[-1]}'" if names else "a field"
                is_unknown = "no field named" in str(error)
                why = "is not in it" if is_unknown else "has another type"
                raise RecordError(
                    f"the event does not fit message {descriptor.full_name} of schema {id_}: {where} {why}"
                ) from None

        return write


def _file(registry: Registry, schema: Any, id_: int) -> Any:
    """The descriptor of the schema's file, with everything that it imports.

    Raises:
        UndecodableError: the registry told no descriptor.
    """
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import DecodeError

    pool = DescriptorPool()
    try:
        return _added(registry, pool, schema, f"schema-{id_}.proto", set())
    except (ValueError, DecodeError, TypeError, KeyError) as error:
        raise UndecodableError(
            f"the registry at {registry.url} told no descriptor of schema {id_}; `format: protobuf` needs one that"
            " answers `format=serialized`"
        ) from error


def _added(registry: Registry, pool: Any, schema: Any, name: str, seen: set[str]) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto.FromString(base64.b64decode(schema.schema_str, validate=True))
    file.name = name
    references = {reference.name: reference for reference in schema.references or ()}
    for imported in file.dependency:
        if imported in seen:
            continue
        seen.add(imported)
        if imported in references:
            one = references[imported]
            other = registry.referenced(one.subject, one.version, is_descriptor=True)
            _added(registry, pool, other, imported, seen)
        else:
            _add_well_known(pool, imported, seen)
    pool.Add(file)
    return pool.FindFileByName(name)


def _add_well_known(pool: Any, name: str, seen: set[str]) -> None:
    """Add a file that comes with Protobuf itself.

    Raises:
        KeyError: it does not.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    if not name.startswith((WELL_KNOWN, "google/type/")):
        raise KeyError(name)
    try:
        module = import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    except ImportError:
        raise KeyError(name) from None
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    for imported in file.dependency:
        if imported not in seen:
            seen.add(imported)
            _add_well_known(pool, imported, seen)
    pool.Add(file)


def _varint(value: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(value) and shift < 64:
        byte = value[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (result >> 1) ^ -(result & 1), at
        shift += 7
    raise UndecodableError("it ends before the place of its message in the schema")


def _indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Which message of the file it is, from the outermost inwards, and where it begins."""
    if value[FRAME : FRAME + 1] == b"\0":  # short for the first one
        return (0,), FRAME + 1
    count, at = _varint(value, FRAME)
    if not 0 < count <= INDEXES_MAX:
        raise UndecodableError("it does not tell the place of its message in the schema")
    found = []
    for _ in range(count):
        index, at = _varint(value, at)
        found.append(index)
    return tuple(found), at


def _at(file: Any, indexes: tuple[int, ...], id_: int) -> Any:
    messages, descriptor = _in_order(file), None
    for index in indexes:
        if not 0 <= index < len(messages):
            raise UndecodableError(f"its schema {id_} has no message at the place that it tells")
        descriptor = messages[index]
        messages = list(descriptor.nested_types)
    return descriptor


def _in_order(file: Any) -> list[Any]:
    """The outermost messages as they stand in the file, which is the order of the mapping."""
    return list(file.message_types_by_name.values())


def _named(file: Any, name: str | None, id_: int) -> Any:
    messages = _in_order(file)
    if name is None and messages:
        return messages[0]
    waiting = messages
    while waiting:
        for one in waiting:
            if name in (one.full_name, one.name):
                return one
        waiting = [inner for one in waiting for inner in one.nested_types]
    there = ", ".join(one.full_name for one in messages) or "none"
    raise RecordError(f"schema {id_} has no message '{name}'; there are {there}")


def _index_bytes(descriptor: Any) -> bytes:
    indexes: list[int] = []
    while descriptor is not None:
        outer = descriptor.containing_type
        siblings = list(outer.nested_types) if outer is not None else _in_order(descriptor.file)
        indexes.insert(0, siblings.index(descriptor))
        descriptor = outer
    if indexes == [0]:
        return b"\0"
    return b"".join(_zigzag(number) for number in (len(indexes), *indexes))


def _zigzag(number: int) -> bytes:
    left, written = number << 1, bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)
