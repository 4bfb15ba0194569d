"""`format: json_schema`: JSON that meets its schema, both ways."""

from typing import Any

import orjson
import pytest

from headrace.runtime.errors import RecordError, SettingsError, UndecodableError
from tests.registry_server import RegistryServer
from tests.unit.formats.registered import decoder, encoder, formats_of, framed

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "type": "object",
    "properties": {"id": {"type": "integer"}, "items": {"items": {"maximum": 9}}},
    "required": ["id"],
}


def test_what_is_written_is_the_json_behind_the_id_of_the_schema(registry: RegistryServer) -> None:
    id_ = registry.put("orders-value", ORDER, "JSON")
    formats = formats_of(registry)

    value = encoder(formats, "json_schema")({"id": 1})

    assert value == framed(id_, b'{"id":1}')
    assert decoder(formats, "json_schema")(value) == {"id": 1}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"id": "secret"}, "id fails 'type' of the schema"),
        ({"id": 1, "items": [1, 10]}, "items.1 fails 'maximum'"),
        ({}, "the event fails 'required'"),
    ],
)
def test_what_does_not_meet_its_schema_says_where_and_not_what(
    registry: RegistryServer, event: Any, told: str
) -> None:
    id_ = registry.put("orders-value", ORDER, "JSON")
    formats = formats_of(registry)

    with pytest.raises(RecordError, match=f"does not meet schema {id_}: {told}"):
        encoder(formats, "json_schema")(event)
    with pytest.raises(UndecodableError, match=f"does not meet its schema {id_}: {told}"):
        decoder(formats, "json_schema")(framed(id_, orjson.dumps(event)))


@pytest.mark.parametrize("choice", [{}, {"subject": "orders-value"}])
def test_a_schema_without_a_title_is_registered_under_its_topic(
    registry: RegistryServer, choice: dict[str, Any]
) -> None:
    schema = {"inline": '{"type": "object"}', "auto_register": True, **choice}
    how = f"json_schema {orjson.dumps({'schema': schema}).decode()}"

    value = encoder(formats_of(registry), how)({"id": 1})

    assert value.endswith(b'{"id":1}')
    assert "/subjects/orders-value/versions" in " ".join(registry.asked)


def test_a_subject_of_a_name_needs_the_title() -> None:
    schema = {"inline": '{"type": "object"}', "strategy": "record", "auto_register": True}
    how = f"json_schema {orjson.dumps({'schema': schema}).decode()}"

    with pytest.raises(SettingsError, match="the schema has no title"):
        encoder(formats_of("http://127.0.0.1:1"), how)


def test_checks_can_be_left_out(registry: RegistryServer) -> None:
    id_ = registry.put("orders-value", ORDER, "JSON")
    unchecked = 'json_schema {"validate":false}'

    event = decoder(formats_of(registry), unchecked)(framed(id_, b'{"id":"x"}'))

    assert event == {"id": "x"}


def test_newer_drafts_and_references_are_understood(registry: RegistryServer) -> None:
    registry.put("money", {"type": "number"}, "JSON")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"pair": {"prefixItems": [{"type": "string"}, {"$ref": "money.json"}]}},
        "$ref": "#/$defs/pair",
    }
    reference = {"name": "money.json", "subject": "money", "version": 1}
    registry.put("orders-value", schema, "JSON", references=[reference])
    encode = encoder(formats_of(registry), "json_schema")

    assert encode(["a", 1])
    with pytest.raises(RecordError, match="1 fails 'type'"):
        encode(["a", "b"])


def test_what_is_no_json_or_no_schema_fails_as_a_record(registry: RegistryServer) -> None:
    good = registry.put("x", ORDER, "JSON")
    bad = registry.put("x", {"type": 7}, "JSON")
    decode = decoder(formats_of(registry), "json_schema")

    with pytest.raises(UndecodableError, match="it is no JSON"):
        decode(framed(good, b"?"))
    with pytest.raises(UndecodableError, match=f"its schema {bad} is no JSON Schema"):
        decode(framed(bad, b"{}"))
