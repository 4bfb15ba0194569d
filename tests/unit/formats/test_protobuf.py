"""`format: protobuf`: messages are maps of JSON's values, and maps become messages that others read."""

from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from headrace.runtime.errors import RecordError, SettingsError, UndecodableError
from tests.registry_server import RegistryServer
from tests.unit.formats.registered import decoder, encoder, formats_of, framed

TEXT = 'syntax = "proto3"; package shop; message Order { int64 id = 1; }'
"""Stands for the whole: the test's registry knows its descriptor by this text."""


def field(name: str, number: int, kind: str, type_name: str = "", **given: Any) -> Any:
    label = FieldDescriptorProto.Label.Value("LABEL_" + given.pop("label", "optional").upper())
    return FieldDescriptorProto(
        name=name,
        number=number,
        type=FieldDescriptorProto.Type.Value("TYPE_" + kind.upper()),
        label=label,
        type_name=type_name or None,
        **given,
    )


def order_file() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="order.proto",
        package="shop",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "google/protobuf/struct.proto"],
    )
    state = file.enum_type.add(name="State")
    state.value.add(name="NEW", number=0)
    state.value.add(name="PAID", number=1)
    order = file.message_type.add(name="Order")
    order.field.extend(
        [
            field("id", 1, "int64"),
            field("name", 2, "string", proto3_optional=True, oneof_index=0),
            field("raw", 3, "bytes"),
            field("state", 4, "enum", ".shop.State"),
            field("placed_at", 5, "message", ".google.protobuf.Timestamp"),
            field("lines", 6, "message", ".shop.Order.Line", label="repeated"),
            field("counts", 7, "message", ".shop.Order.CountsEntry", label="repeated"),
            field("extra", 8, "message", ".google.protobuf.Struct"),
            field("parent", 9, "message", ".shop.Order"),
        ]
    )
    order.oneof_decl.add(name="_name")
    order.nested_type.add(name="Line").field.append(field("amount", 1, "double"))
    entry = DescriptorProto(name="CountsEntry")
    entry.field.extend([field("key", 1, "int32"), field("value", 2, "uint64")])
    entry.options.map_entry = True
    order.nested_type.append(entry)
    file.message_type.add(name="Another").field.append(field("note", 1, "string"))
    return file


EVENT = {
    "id": 2**60,
    "name": None,
    "raw": "AP8=",
    "state": "PAID",
    "placed_at": "2023-11-14T22:13:20.500Z",
    "lines": [{"amount": 1.5}, {"amount": 2.0}],
    "counts": {"7": 2**40},
    "extra": {"a": [1.0, None]},
    "parent": None,
}


@pytest.fixture
def id_(registry: RegistryServer) -> int:
    descriptor = order_file().SerializeToString()
    return registry.put("orders-value", TEXT, "PROTOBUF", descriptor=descriptor)


def theirs() -> Any:
    """The class that another program has of the message."""
    pool = DescriptorPool()
    for module in (timestamp_pb2, __import__("google.protobuf.struct_pb2", fromlist=["x"])):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(order_file().SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def test_what_is_written_is_read_again(registry: RegistryServer, id_: int) -> None:
    formats = formats_of(registry)
    event = {**EVENT, "name": "", "parent": {**EVENT, "id": 1}}

    value = encoder(formats, "protobuf")(event)

    assert value[:6] == framed(id_, b"\0")
    assert decoder(formats, "protobuf")(value) == event


def test_fields_that_are_not_set_have_their_default_or_are_null(
    registry: RegistryServer, id_: int
) -> None:
    event = decoder(formats_of(registry), "protobuf")(framed(id_, b"\0"))

    nothing = {"id": 0, "name": None, "raw": "", "state": "NEW", "placed_at": None}
    assert event == {**nothing, "lines": [], "counts": {}, "extra": None, "parent": None}


def test_others_read_what_is_written_and_are_read(registry: RegistryServer, id_: int) -> None:
    formats = formats_of(registry)
    message = theirs().FromString(encoder(formats, "protobuf")(EVENT)[6:])

    event = decoder(formats, "protobuf")(framed(id_, b"\0" + message.SerializeToString()))

    assert (message.id, message.raw, message.counts[7]) == (2**60, b"\0\xff", 2**40)
    assert event == EVENT


def test_a_message_may_stand_anywhere_in_its_file(registry: RegistryServer, id_: int) -> None:
    formats = formats_of(registry)
    for message, event, beginning in [
        ("Another", {"note": "x"}, b"\x02\x02"),
        ("shop.Order.Line", {"amount": 1.0}, b"\x04\x00\x00"),
    ]:
        value = encoder(formats, f'protobuf {{"schema":{{"message":"{message}"}}}}')(event)

        assert value[5:].startswith(beginning)
        assert decoder(formats, "protobuf")(value) == event


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"id": "secret"}, "field 'id' has another type"),
        ({"secrets": 1}, "field 'secrets' is not in it"),
        ({"lines": [{"amount": "secret"}]}, "field 'amount' has another type"),
        (["secret"], "it is no map"),
    ],
)
def test_an_event_that_does_not_fit_says_where_and_not_what(
    registry: RegistryServer, id_: int, event: Any, told: str
) -> None:
    with pytest.raises(RecordError, match=r"does not fit message shop\.Order") as raised:
        encoder(formats_of(registry), "protobuf")(event)

    assert told in str(raised.value)
    assert "secret " not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"\0\xff", "is no message of its schema"),
        (b"\x02\x10", "no message at the place"),
        (b"\x03", "does not tell the place"),
        (b"\x04\x80", "ends before the place"),
        (b"", "ends before the place"),
    ],
)
def test_bytes_that_are_no_message_fail_as_a_record(
    registry: RegistryServer, id_: int, value: bytes, told: str
) -> None:
    with pytest.raises(UndecodableError, match=told):
        decoder(formats_of(registry), "protobuf")(framed(id_, value))


def test_a_message_that_is_not_in_the_schema_is_refused_before_the_first_record(
    registry: RegistryServer, id_: int
) -> None:
    with pytest.raises(SettingsError, match=r"no message 'Ordre'; there are shop\.Order, shop\."):
        encoder(formats_of(registry), 'protobuf {"schema":{"message":"Ordre"}}')


def test_a_schema_that_is_given_is_registered_as_text_and_written_by_its_descriptor(
    registry: RegistryServer,
) -> None:
    registry.descriptors[TEXT] = order_file().SerializeToString()
    given = {"inline": TEXT, "auto_register": True, "strategy": "record"}
    how = "protobuf " + __import__("json").dumps({"schema": given})

    encoder(formats_of(registry), how)({"id": 1})

    assert "POST /subjects/shop.Order/versions" in registry.asked


def test_a_registry_that_tells_no_descriptors_is_named_as_the_reason(
    registry: RegistryServer,
) -> None:
    id_ = registry.put("x", TEXT, "PROTOBUF", descriptor=b"\xff")

    with pytest.raises(UndecodableError, match="format=serialized"):
        decoder(formats_of(registry), "protobuf")(framed(id_, b"\0"))


def test_files_may_import_files_of_other_subjects(registry: RegistryServer) -> None:
    registry.put("order", TEXT, "PROTOBUF", descriptor=order_file().SerializeToString())
    box = FileDescriptorProto(
        name="box.proto", syntax="proto3", dependency=["shop/order.proto"], package="shop"
    )
    box.message_type.add(name="Box").field.append(field("order", 1, "message", ".shop.Order"))
    reference = {"name": "shop/order.proto", "subject": "order", "version": 1}
    registry.put("orders-value", "box", "PROTOBUF", [reference], descriptor=box.SerializeToString())
    formats = formats_of(registry)

    value = encoder(formats, "protobuf")({"order": EVENT})

    assert decoder(formats, "protobuf")(value) == {"order": EVENT}
