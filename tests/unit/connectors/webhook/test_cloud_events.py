"""CloudEvents over HTTP, as the specification's bindings have them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.connectors.webhook.asking import Answered, Hook, headers_of, hook

STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/shop",
    "ce-type": "sold",
}
EVENT: Mapping[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "sold",
    "data": {"sku": "a"},
}


def sent(*requests: tuple[Any, Mapping[str, str]], **config: Any) -> tuple[list[Answered], Hook]:
    async def main() -> tuple[list[Answered], Hook]:
        async with hook(cloudevents=True, **config) as made:
            answered = []
            for body, headers in requests:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                answered.append(await made.send(data, headers))
            return answered, made

    return asyncio.run(main())


def test_binary_and_structured_events_become_the_same_record() -> None:
    extra = {"partitionkey": "k", "sequence": 7, "flag": True, "time": "2026-01-31T12:00:00Z"}
    in_headers = {
        f"ce-{name}": str(value).lower() for name, value in extra.items() if name != "time"
    }

    _, binary = sent(
        (b'{"sku":"a"}', {**BINARY, **in_headers, "ce-time": '"2026-01-31T12:00:00Z"'})
    )
    _, structured = sent(({**EVENT, **extra, "subject": None}, STRUCTURED))

    (one,), (other,) = binary.records(), structured.records()
    assert one.value() == other.value() == b'{"sku":"a"}'
    found = headers_of(one)
    assert found == headers_of(other)
    assert found["ce_type"] == b"sold"
    assert found["ce_sequence"] == b"7"
    assert found["ce_flag"] == b"true"
    assert found["ce_time"] == b"2026-01-31T12:00:00Z"
    assert found["content-type"] == b"application/json"
    assert found["webhook-delivery"] == b"/shop 1"


def test_attributes_in_headers_are_percent_decoded() -> None:
    _, made = sent((b"1", {**BINARY, "ce-subject": "Euro%20%E2%82%AC"}))
    (wrong,), _ = sent((b"1", {**BINARY, "ce-subject": "%ff"}))

    assert headers_of(made.records()[0])["ce_subject"] == "Euro \u20ac".encode()
    assert wrong.status == 422


def test_every_event_of_a_batch_is_a_record_and_known_ones_are_left_out() -> None:
    batch = [{**EVENT, "id": str(number)} for number in range(3)]

    answered, made = sent((batch[:1], BATCH), (batch, BATCH), (batch, BATCH), ([], BATCH))

    assert [one.status for one in answered] == [202, 202, 200, 202]
    assert [len(one.document.get("runs", [])) for one in answered] == [1, 2, 0, 0]
    assert len(made.records()) == 3


def test_the_key_may_be_an_attribute() -> None:
    _, made = sent(({**EVENT, "subject": "s"}, STRUCTURED), key="headers.ce_subject")

    assert [record.key() for record in made.records()] == [b"s"]


def test_data_may_be_missing_text_or_base64() -> None:
    without = {name: value for name, value in EVENT.items() if name != "data"}
    requests = [
        (without, STRUCTURED),
        ({**without, "id": "2", "data_base64": "eyJhIjogMX0="}, STRUCTURED),
        ({**without, "id": "3", "data": "text", "datacontenttype": "application/json"}, STRUCTURED),
    ]

    answered, made = sent(*requests)
    _, text = sent(
        ({**EVENT, "data": "t\u00e9xt", "datacontenttype": "text/plain"}, STRUCTURED), format="text"
    )

    assert [one.status for one in answered] == [202, 202, 202]
    assert (
        sorted(record.value() or b"" for record in made.records())
        == [b'"text"', b"null", b'{"a": 1}'][0:3]
    )
    assert [record.value() for record in text.records()] == ["t\u00e9xt".encode()]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (415, EVENT, {"content-type": "application/json"}),
        (415, EVENT, {}),
        (415, b"x", {**BINARY, "content-type": "text/xml"}),
        (415, {**EVENT, "datacontenttype": "text/xml"}, STRUCTURED),
        (415, EVENT, {**STRUCTURED, "content-encoding": "gzip"}),
        (422, b"{", STRUCTURED),
        (422, [EVENT], STRUCTURED),
        (422, EVENT, BATCH),
        (422, [EVENT, 1], BATCH),
        (422, [EVENT] * 1_001, BATCH),
        (422, {**EVENT, "specversion": "0.3"}, STRUCTURED),
        (422, {**EVENT, "id": ""}, STRUCTURED),
        (422, {**EVENT, "id": None}, STRUCTURED),
        (422, {**EVENT, "Bad Name": "x"}, STRUCTURED),
        (422, {**EVENT, "nested": {}}, STRUCTURED),
        (422, {**EVENT, "datacontenttype": 7}, STRUCTURED),
        (422, {**EVENT, "data_base64": "AAAA"}, STRUCTURED),
        (422, {**EVENT, "data": None, "data_base64": "%"}, STRUCTURED),
        (422, {**EVENT, **{f"a{n}": "" for n in range(80)}}, STRUCTURED),
        (422, b"1", {**BINARY, "ce-id": ""}),
        (422, b"{", BINARY),
    ],
)
def test_what_is_no_cloud_event_is_refused(status: int, body: Any, headers: Any) -> None:
    (answered,), made = sent((body, headers))

    assert answered.status == status
    assert made.records() == []


def test_a_sender_that_asks_whether_it_may_send_is_told_so() -> None:
    async def main() -> list[Answered]:
        asked = {"webhook-request-origin": "eventemitter.example"}
        async with hook(cloudevents=True) as made, hook() as other:
            return [
                await made.send(b"", asked, method="OPTIONS"),
                await made.send(b"", {}, method="OPTIONS"),
                await other.send(b"", asked, method="OPTIONS"),
            ]

    answered = asyncio.run(main())

    assert [one.status for one in answered] == [200, 405, 405]
    assert answered[0].headers["webhook-allowed-origin"] == "eventemitter.example"
