"""Whatever is sent: an answer comes, it is one of those that are told of, and 2xx means one record with the very body."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.connectors.webhook.asking import Answered, Hook, headers_of, hook

KNOWN = {200, 202, 400, 401, 404, 405, 413, 415, 422}
NAMES = st.sampled_from(
    [
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"authorization",
        b"x-hub-signature-256",
        b"stripe-signature",
        b"webhook-signature",
        b"webhook-id",
        b"webhook-timestamp",
        b"x-slack-signature",
        b"x-slack-request-timestamp",
        b"ce-specversion",
        b"ce-id",
        b"ce-source",
        b"ce-type",
        b"x-forwarded-for",
        b"x-delivery",
        b"webhook-request",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"application/json",
            b"application/cloudevents+json",
            b"application/cloudevents-batch+json",
            b"application/x-www-form-urlencoded",
            b"text/plain; charset=utf-8",
            b"1.0",
            b"v1,",
            b"t=1,v1=2",
            b"sha256=",
            b"Basic Og==",
            b"5",
        ]
    ),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
EVENTS = st.dictionaries(
    st.sampled_from(
        [
            "specversion",
            "id",
            "source",
            "type",
            "data",
            "data_base64",
            "datacontenttype",
            "time",
            "x-y",
            "ext",
        ]
    ),
    st.sampled_from(["1.0", "a", "", "application/json", "AAAA"]) | JSON_VALUES,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    (EVENTS | st.lists(EVENTS, max_size=3) | JSON_VALUES).map(
        lambda value: json.dumps(value).encode()
    ),
)
KINDS = [
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json",
    b"application/json",
]
SCHEMES: list[tuple[Any, list[str]]] = [
    ("none", []),
    ({"scheme": "github"}, ["one"]),
    ({"scheme": "stripe"}, ["one"]),
    ({"scheme": "slack"}, ["one"]),
    ({"scheme": "standard"}, ["whsec_AAAA"]),
    ({"scheme": "basic", "user": "ann"}, ["one"]),
    ({"scheme": "bearer"}, ["one"]),
]


def answered_to(
    body: list[bytes], headers: list[tuple[bytes, bytes]], /, **config: Any
) -> tuple[Answered, Hook]:
    async def main() -> tuple[Answered, Hook]:
        async with hook(ack_timeout="5s", **config) as made:
            method = "POST" if len(body) % 7 else "PUT"
            return await made.send(body, headers, method=method), made

    return asyncio.run(main())


# A webhook with its threads is made for every example; what is slow here is not what is tested.
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(
    body=st.lists(BODIES, min_size=1, max_size=3),
    headers=HEADERS,
    scheme=st.sampled_from(SCHEMES),
    format_=st.sampled_from(["json", "form", "text", "bytes"]),
    proxies=st.integers(0, 2),
)
def test_any_request_is_answered_and_only_what_is_let_in_is_written(
    body: list[bytes], headers: list[tuple[bytes, bytes]], scheme: Any, format_: str, proxies: int
) -> None:
    verify, secrets = scheme
    answered, made = answered_to(
        body,
        headers,
        verify=verify,
        secrets=secrets,
        format=format_,
        proxies=proxies,
        headers=["x-*"],
        idempotency={"header": "x-delivery"},
    )

    assert answered.status in KNOWN
    records = made.records()
    assert len(records) == (1 if answered.status == 202 else 0)
    for record in records:
        assert format_ == "form" or record.value() == b"".join(body)
        assert "webhook-request" not in headers_of(record)
    if answered.status >= 400:
        assert answered.document["status"] == answered.status


@FUZZ
@given(
    body=BODIES,
    headers=HEADERS,
    kind=st.sampled_from(KINDS),
)
def test_any_cloud_event_is_answered(
    body: bytes, headers: list[tuple[bytes, bytes]], kind: bytes
) -> None:
    given_headers = [pair for pair in headers if pair[0] != b"content-type"]

    answered, made = answered_to(
        [body], [(b"content-type", kind), *given_headers], cloudevents=True
    )

    assert answered.status in KNOWN
    assert bool(made.records()) == (answered.status == 202 and bool(answered.document["runs"]))
    for record in made.records():
        found = headers_of(record)
        assert found["ce_specversion"] == b"1.0"
        assert found["ce_id"]
