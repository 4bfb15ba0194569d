"""`format: avro`: what is written is read again, by whom else reads Avro, and what does not fit says where."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import orjson
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from headrace.runtime.contracts.format import FormatUse
from headrace.runtime.errors import RecordError, SettingsError, UndecodableError
from tests.registry_server import RegistryServer
from tests.unit.formats.registered import decoder, encoder, formats_of, framed

ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"], "default": None},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2},
            "default": "\u0000",
        },
        {
            "name": "at",
            "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
            "default": None,
        },
        {"name": "raw", "type": "bytes", "default": ""},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    ],
}
EVENT = {
    "id": 1,
    "name": "Ada",
    "price": "-12.30",
    "at": 1_700_000_000_123_456,
    "raw": "AP8=",
    "tags": ["a", "b"],
}


def how(**schema: Any) -> str:
    return f"avro {orjson.dumps({'schema': schema}).decode()}"


def test_what_is_written_is_read_again_with_decimals_exact_and_bytes_as_text(
    registry: RegistryServer,
) -> None:
    registry.put("orders-value", ORDER)
    formats = formats_of(registry)

    value = encoder(formats, "avro")(EVENT)

    assert decoder(formats, "avro")(value) == EVENT
    assert orjson.loads(orjson.dumps(EVENT)) == EVENT


def test_others_read_what_is_written_with_the_types_of_the_schema(
    registry: RegistryServer,
) -> None:
    id_ = registry.put("orders-value", ORDER)

    value = encoder(formats_of(registry), "avro")(
        {**EVENT, "at": "2023-11-14T22:13:20.123456Z", "price": 5}
    )

    theirs: Any = schemaless_reader(BytesIO(value[5:]), parse_schema(ORDER), None)
    assert value[:5] == framed(id_, b"")
    assert theirs["price"] == Decimal("5.00")
    assert theirs["at"].isoformat() == "2023-11-14T22:13:20.123456+00:00"
    assert theirs["raw"] == b"\0\xff"


def test_options_say_how_decimals_and_times_are_read(registry: RegistryServer) -> None:
    registry.put("orders-value", ORDER)
    formats = formats_of(registry)
    value = encoder(formats, "avro")(EVENT)

    event = decoder(formats, 'avro {"decimals":"number","times":"iso"}')(value)

    assert (event["price"], event["at"]) == (-12.3, "2023-11-14T22:13:20.123456Z")


def test_defaults_fill_what_an_event_lacks_and_a_tombstone_stays_one(
    registry: RegistryServer,
) -> None:
    registry.put("orders-value", ORDER)
    formats = formats_of(registry)
    encode = encoder(formats, "avro")

    event = decoder(formats, "avro")(encode({"id": 7}))

    assert (event["id"], event["name"], event["tags"]) == (7, None, [])
    assert encode(None) is None


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({**EVENT, "id": "secret"}, "Order.id must be long, found text"),
        ({**EVENT, "secret": 1, "nmae": 1}, "there is no field 'nmae'; there are at, id, name"),
        ({**EVENT, "price": "1.234"}, "price: a decimal has at most 2 decimal places"),
        ({**EVENT, "price": "secret"}, "price: must be a decimal, found other text"),
        ({**EVENT, "raw": "se cret"}, "raw: must be bytes, as base64 text"),
        ({**EVENT, "at": "secret"}, "at: does not fit its type, found text"),
        ({**EVENT, "at": ["secret"]}, "at: must be a time, as text in ISO 8601 or a number"),
        ({**EVENT, "tags": [1]}, "Order.tags must be string, found the number 1"),
        ({"name": "secret"}, "Order.id must be long, found nothing"),
        (["secret"], "must be a record, found a list"),
    ],
)
def test_an_event_that_does_not_fit_says_where_and_not_what(
    registry: RegistryServer, event: Any, told: str
) -> None:
    registry.put("orders-value", ORDER)

    with pytest.raises(RecordError, match="does not fit schema 1") as raised:
        encoder(formats_of(registry), "avro")(event)

    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


def test_bytes_that_are_no_value_of_the_schema_fail_as_a_record(
    registry: RegistryServer,
) -> None:
    id_ = registry.put("orders-value", ORDER)
    decode = decoder(formats_of(registry), "avro")

    for value, told in [
        (framed(id_, b"\x02"), "does not fit its schema 1"),
        (b'{"id": 1}', "begins with byte 0x7b"),
        (b"", "has no bytes"),
    ]:
        with pytest.raises(UndecodableError, match=told):
            decode(value)


TREE = {
    "type": "record",
    "name": "Node",
    "fields": [
        {"name": "data", "type": "bytes"},
        {"name": "next", "type": ["null", "Node"], "default": None},
    ],
}


def test_a_record_may_contain_itself(registry: RegistryServer) -> None:
    registry.put("orders-value", TREE)
    formats = formats_of(registry)
    event = {"data": "AA==", "next": {"data": "AQ==", "next": None}}

    assert decoder(formats, "avro")(encoder(formats, "avro")(event)) == event


CHOICE = {
    "type": "record",
    "name": "Choice",
    "fields": [
        {
            "name": "one",
            "type": [
                "null",
                "string",
                "boolean",
                {"type": "int", "logicalType": "date"},
                {"type": "fixed", "name": "Hash", "size": 2},
                {
                    "type": "record",
                    "name": "A",
                    "fields": [{"name": "a", "type": {"type": "map", "values": "Hash"}}],
                },
                {"type": "record", "name": "B", "fields": [{"name": "b", "type": "double"}]},
            ],
        }
    ],
}


@pytest.mark.parametrize(
    "one", [None, "text", True, 19_700, {"a": {"k": "AAE="}}, {"b": 1.5}, "2023-12-09"]
)
def test_a_union_takes_the_branch_that_fits(registry: RegistryServer, one: Any) -> None:
    registry.put("orders-value", CHOICE)
    formats = formats_of(registry)

    assert decoder(formats, "avro")(encoder(formats, "avro")({"one": one})) == {"one": one}


def test_schemas_may_refer_to_others_and_unions_of_references_tell_records_apart(
    registry: RegistryServer,
) -> None:
    money = {"type": "record", "name": "shop.Money", "fields": [{"name": "raw", "type": "bytes"}]}
    paid = {
        "type": "record",
        "name": "shop.Paid",
        "fields": [{"name": "sum", "type": "shop.Money"}],
    }
    registry.put("money", money)
    to_money = {"name": "shop.Money", "subject": "money", "version": 1}
    registry.put("paid", paid, references=[to_money])
    to_paid = {"name": "shop.Paid", "subject": "paid", "version": 1}
    registry.put("orders-value", ["shop.Money", "shop.Paid"], references=[to_money, to_paid])
    formats = formats_of(registry)
    events = [{"raw": "AA=="}, {"sum": {"raw": "AQ=="}}]

    values = [encoder(formats, "avro")(event) for event in events]

    assert [decoder(formats, "avro")(value) for value in values] == events


def test_a_value_of_another_program_is_read(registry: RegistryServer) -> None:
    id_ = registry.put("x", ORDER)
    stream = BytesIO()
    theirs: dict[str, Any] = {
        "id": 3,
        "name": None,
        "price": Decimal("0.01"),
        "at": None,
        "raw": b"",
        "tags": [],
    }
    schemaless_writer(stream, parse_schema(ORDER), theirs)

    event = decoder(formats_of(registry), "avro")(framed(id_, stream.getvalue()))

    assert event == {**theirs, "price": "0.01", "raw": ""}


def test_a_schema_that_is_no_record_can_be_written_too(registry: RegistryServer) -> None:
    registry.put("orders-value", '"string"')
    formats = formats_of(registry)

    assert decoder(formats, "avro")(encoder(formats, "avro")("text")) == "text"


def test_a_subject_may_be_made_of_the_records_name(registry: RegistryServer) -> None:
    registry.put("shop.Order", ORDER)
    registry.put("orders-shop.Order", ORDER)

    for strategy in ("record", "topic_record"):
        encode = encoder(formats_of(registry), how(inline=ORDER, strategy=strategy))
        assert encode({"id": 1})[:5] == framed(1, b"")


def test_without_a_type_of_its_own_no_name_makes_a_subject(registry: RegistryServer) -> None:
    with pytest.raises(SettingsError, match="no name to make a subject of"):
        encoder(formats_of(registry), how(inline="string", strategy="record"))


def test_changes_of_debezium_may_be_written_in_avro(registry: RegistryServer) -> None:
    row = {"type": "record", "name": "Value", "fields": [{"name": "id", "type": "long"}]}
    envelope = {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {"name": "before", "type": ["null", row], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {"name": "op", "type": "string"},
        ],
    }
    registry.put("orders-value", envelope)
    formats = formats_of(registry)
    how_read = 'debezium {"encoding":"avro"}'
    created = {"before": None, "after": {"id": 1}, "op": "c"}

    values = [
        encoder(formats, "avro")(change)
        for change in (created, {"before": {"id": 1}, "after": None, "op": "d"})
    ]

    assert decoder(formats, how_read)(values[0]) == created
    rows = formats.function(FormatUse(how_read, "row"))
    assert [rows(value) for value in values] == [{"id": 1}, None]
