"""What requests are answered with, and what is written for them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.webhook import bridge
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic
from tests.unit.connectors.webhook.asking import PATH, Answered, Hook, headers_of, hook, until

JSON = {"content-type": "application/json"}


def broker_with_limit(limit: int) -> MemoryBroker:
    """A broker whose topic takes records of so many bytes."""
    broker = MemoryBroker(clock=SystemClock())
    config = {"max.message.bytes": str(limit)}
    broker.admin().create([NewTopic(name="shop.hook", partitions=2, config=config)])
    return broker


def set_limit(broker: MemoryBroker, limit: int) -> None:
    """As an administrator who changes the topic."""
    topic = broker._cluster.topics["shop.hook"]
    topic.message_bytes_max = limit
    topic.description = replace(topic.description, config={"max.message.bytes": str(limit)})


def send_one(
    body: Any = b"{}", headers: Any = JSON, request: Any = None, /, **config: Any
) -> tuple[Answered, Hook]:
    """One request to a webhook of its own."""

    async def main() -> tuple[Answered, Hook]:
        async with hook(**config) as made:
            return await made.send(body, headers, **(request or {})), made

    return asyncio.run(main())


def test_a_request_becomes_a_record_with_the_body_byte_for_byte() -> None:
    body = b'{ "a" : 1.50 }\n'

    answered, made = send_one(body, {**JSON, "x-kind": "k", "x-other": "o"}, headers=["X-Kind"])

    (record,) = made.records()
    assert (answered.status, answered.document["status"]) == (202, "accepted")
    assert answered.document["runs"] == [f"shop.hook-{record.partition()}-{record.offset()}"]
    assert record.value() == body
    assert record.timestamp()[1] == made.clock.now_ms()
    assert headers_of(record) == {
        "content-type": b"application/json",
        "x-kind": b"k",
        "webhook-received-at": str(made.clock.now_ms()).encode(),
        "webhook-sender": b"192.0.2.1",
    }


def test_the_key_is_made_of_body_and_headers() -> None:
    _, made = send_one(
        b'{"id": 7}', {**JSON, "x-tenant": "t"}, key="f\"{headers['x-tenant']}-{event.id}\""
    )

    assert [record.key() for record in made.records()] == [b"t-7"]


@pytest.mark.parametrize(
    ("status", "given"),
    [
        (404, {"request": {"path": PATH + "/more"}}),
        (405, {"request": {"method": "GET"}}),
        (415, {"headers": {"content-type": "text/html"}}),
        (415, {"headers": {**JSON, "content-encoding": "gzip"}}),
        (415, {"headers": {"content-type": "application/json; charset=latin-1"}}),
        (413, {"headers": {**JSON, "content-length": "1000001"}}),
        (413, {"headers": {**JSON, "content-length": "9" * 5_000}}),
        (413, {"body": [b" " * 600_000, b" " * 600_000]}),
        (413, {"body": b" " * 1_000_001}),
        (400, {"headers": {**JSON, "content-length": "-1"}}),
        (400, {"headers": {**JSON, "content-length": "\u00b2"}}),
        (422, {"body": b""}),
        (422, {"body": b'{"a": 1'}),
        (422, {"body": b"[" * 100_000}),
        (422, {"body": b"\xff\xfe"}),
    ],
)
def test_what_is_not_taken_is_told_as_a_problem_and_nothing_is_written(
    status: int, given: Any
) -> None:
    answered, made = send_one(
        given.get("body", b"{}"), given.get("headers", JSON), given.get("request")
    )

    assert answered.status == status
    assert answered.headers["content-type"] == "application/problem+json"
    assert answered.document["status"] == status
    assert answered.document["detail"]
    assert made.records() == []


def test_a_key_that_cannot_be_made_is_a_problem_of_the_request() -> None:
    answered, made = send_one(b'{"a": 1}', key="event.id")

    assert answered.status == 422
    assert answered.document["detail"] == "key: event has no field 'id'; it has a"
    assert made.records() == []


def test_refusals_say_what_would_be_taken() -> None:
    wrong_method, _ = send_one(b"{}", JSON, {"method": "GET"}, methods=["POST", "PUT"])
    wrong_type, _ = send_one(b"{}", {"content-type": "text/html"})

    assert wrong_method.headers["allow"] == "POST, PUT"
    assert "application/json" in wrong_type.headers["accept"]


def test_a_record_that_the_topic_does_not_take_is_too_large_and_never_accepted() -> None:
    async def main() -> tuple[list[int], Hook]:
        async with hook(broker=broker_with_limit(1_000), format="bytes") as made:
            return [(await made.send(b"x" * size)).status for size in (2_000, 10, 1_001, 990)], made

    statuses, made = asyncio.run(main())

    assert statuses == [413, 202, 413, 202]
    assert sorted(len(record.value() or b"") for record in made.records()) == [10, 990]


def test_a_limit_that_was_lowered_since_is_met_at_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> tuple[list[int], Hook]:
        async with hook(broker=broker_with_limit(1_000), format="bytes") as made:
            set_limit(made.broker, 100)
            return [(await made.send(b"x" * size)).status for size in (500, 10)], made

    statuses, made = asyncio.run(main())

    assert statuses == [413, 202]
    assert len(made.records()) == 1


def test_a_limit_that_was_raised_since_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "LOOK_S", 0.0)

    async def main() -> list[int]:
        async with hook(broker=broker_with_limit(100), format="bytes") as made:
            first = (await made.send(b"x" * 500)).status
            before = made.app._bridge.outgoing
            set_limit(made.broker, 1_000)
            await made.send(b"x" * 500)
            await until(lambda: made.app._bridge.outgoing not in (before, None))
            return [first, (await made.send(b"x" * 500)).status]

    assert asyncio.run(main()) == [413, 202]


def test_a_body_that_comes_too_slowly_is_not_waited_for() -> None:
    async def main() -> tuple[Answered, Answered]:
        async with hook(limits={"body_timeout": "50ms"}) as made:
            return await made.send([b"{"], JSON, hangs=True), await made.send([], JSON)

    for answered in asyncio.run(main()):
        assert answered.status == 408
        assert answered.headers["connection"] == "close"


def test_who_goes_away_before_the_body_is_complete_leaves_no_record() -> None:
    answered, made = send_one([b"{"], JSON, {"leaves": True})

    assert answered.status == 0
    assert made.records() == []


def test_a_broker_that_does_not_answer_is_told_in_time_and_the_next_request_is_taken() -> None:
    async def main() -> tuple[list[Answered], Hook]:
        async with hook(ack_timeout="50ms") as made:
            made.broker.stop()
            first = await made.send(b"1", JSON)
            made.broker.start()
            second = await made.send(b"2", JSON)
            return [first, second], made

    (refused, taken), made = asyncio.run(main())

    assert (refused.status, taken.status) == (503, 202)
    assert int(refused.headers["retry-after"]) >= 1
    assert b"2" in [record.value() for record in made.records()]


def test_what_is_on_its_way_at_the_end_is_waited_for() -> None:
    async def main() -> tuple[int, int]:
        async with hook(ack_timeout="10s") as made:
            made.broker.stop()
            sending = asyncio.create_task(made.send(b"1", JSON))
            await until(lambda: made.app._bridge.unreported == 1)
            closing = asyncio.create_task(made.app.close())
            await until(lambda: made.app._bridge.outgoing is None)
            made.broker.start()
            await closing
            return (await sending).status, len(made.records())

    assert asyncio.run(main()) == (202, 1)


def test_a_refused_delivery_is_no_success() -> None:
    async def main() -> tuple[list[int], Hook]:
        async with hook() as made:
            made.broker.faults.fail_next_delivery("shop.hook")
            return [
                (await made.send(b"1", JSON)).status,
                (await made.send(b"2", JSON)).status,
            ], made

    statuses, made = asyncio.run(main())

    assert statuses == [503, 202]
    assert [record.value() for record in made.records()] == [b"2"]


def test_nothing_is_taken_before_the_topic_is_there_and_after_the_end() -> None:
    async def main() -> list[Answered]:
        async with hook(broker=MemoryBroker(clock=SystemClock()), is_awaited=False) as early:
            before = await early.send(b"1", JSON)
            await until(lambda: any(one.state == "retrying" for one in early.statuses))
            assert "does not exist yet" in early.statuses[-1].text
        async with hook() as late:
            await late.app.close()
            return [before, await late.send(b"2", JSON)]

    assert [one.status for one in asyncio.run(main())] == [503, 503]


def test_the_form_becomes_json_and_text_and_bytes_stay_what_they_are() -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}

    _, fields = send_one(b"a=1&b=%C3%A9&b=+", form, format="form")
    wrong = [
        send_one(body, form, format="form")[0].status
        for body in (b"a", b"a=%ff", b"&".join([b"a=1"] * 1001))
    ]
    _, text = send_one("\u00e9".encode(), {"content-type": "text/plain"}, format="text")
    bad, _ = send_one(b"\xff", {"content-type": "text/plain"}, format="text")
    _, raw = send_one(b"\xff\x00", {"content-type": "image/png"}, format="bytes")

    assert [record.value() for record in fields.records()] == [b'{"a":"1","b":["\xc3\xa9"," "]}']
    assert wrong == [422, 422, 422]
    assert [record.value() for record in text.records()] == ["\u00e9".encode()]
    assert bad.status == 422
    assert [record.value() for record in raw.records()] == [b"\xff\x00"]


def test_what_holds_a_secret_is_never_kept_and_headers_of_our_own_cannot_be_given() -> None:
    sent = {
        **JSON,
        "authorization": "Bearer x",
        "cookie": "c",
        "webhook-request": "forged",
        "webhook-sender": "forged",
        "x-a": "\u00e9",
    }

    _, made = send_one(b"1", sent, headers=["x-*"])

    (record,) = made.records()
    assert set(headers_of(record)) == {
        "content-type",
        "x-a",
        "webhook-received-at",
        "webhook-sender",
    }
    assert headers_of(record)["x-a"] == b"\xe9"
    assert headers_of(record)["webhook-sender"] == b"192.0.2.1"


def test_the_address_behind_trusted_proxies_is_the_one_that_they_saw() -> None:
    told = {**JSON, "x-forwarded-for": "203.0.113.9, 198.51.100.7, 10.0.0.1"}

    senders = [
        headers_of(send_one(b"1", told, proxies=count)[1].records()[0])["webhook-sender"]
        for count in (0, 1, 2, 4)
    ]

    assert senders == [b"192.0.2.1", b"10.0.0.1", b"198.51.100.7", b"192.0.2.1"]


def test_content_types_of_the_document_replace_those_of_the_format() -> None:
    answered, _ = send_one(
        b"1", {"content-type": "text/plain; charset=UTF-8"}, content_types="text/plain"
    )
    refused, _ = send_one(b"1", JSON, content_types="text/plain")
    anything, _ = send_one(b"1", {"content-type": "x/y"}, content_types=["*/*"])

    assert (answered.status, refused.status, anything.status) == (202, 415, 202)


def test_figures_and_state_are_reported() -> None:
    async def main() -> Hook:
        async with hook() as made:
            await made.send(b"1", JSON)
            await made.send(b"{", JSON)
            await until(lambda: made.statuses[-1].figures.get("refused_requests_total") == 1)
            return made

    made = asyncio.run(main())

    status = made.statuses[-1]
    assert (status.state, status.text) == ("running", "")
    assert status.figures["records_total"] == status.figures["accepted_requests_total"] == 1
