"""`mode: sync`: the answer of the run is the answer of the request. Slack's challenge needs no run."""

import asyncio
from typing import Any

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.webhook.bridge import CONNECTING, SILENT
from headrace.connectors.webhook.signatures import Signed
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.contracts.feed import FeedStatus
from tests.unit.connectors.webhook.asking import Answered, Hook, headers_of, hook, until

JSON = {"content-type": "application/json"}
REPLIES = "shop.hook.replies"


async def request_ids(made: Hook, count: int) -> list[bytes]:
    """What the flow finds in the headers of its records, and what `publish` passes on."""
    await until(lambda: len(made.records()) == count)
    return [headers_of(record)["webhook-request"] or b"" for record in made.records()]


def test_each_request_gets_the_answer_of_its_own_run() -> None:
    async def main() -> list[Answered]:
        async with hook(mode="sync") as made:
            first = asyncio.create_task(made.send(b"1", JSON))
            (one,) = await request_ids(made, 1)
            second = asyncio.create_task(made.send(b"2", JSON))
            other = next(id_ for id_ in await request_ids(made, 2) if id_ != one)
            made.publish(REPLIES, b"nobody", {"webhook-request": b"unknown"})
            made.publish(REPLIES, b"nobody", {})
            made.publish(
                REPLIES, b"second", {"webhook-request": other, "content-type": b"text/plain"}
            )
            made.publish(REPLIES, b'{"n": 1}', {"webhook-request": one, "status": b"201"})
            return [await first, await second]

    first, second = asyncio.run(main())

    assert (first.status, first.document) == (201, {"n": 1})
    assert first.headers["content-type"] == "application/json"
    assert (second.status, second.body, second.headers["content-type"]) == (
        200,
        b"second",
        "text/plain",
    )


def test_kafka_is_said_not_to_answer_only_after_some_seconds_of_silence() -> None:
    broker = MemoryBroker(clock=SystemClock())
    broker.admin().create([NewTopic(name="shop.hook", partitions=1)])

    async def main() -> tuple[list[FeedStatus], list[Answered], Hook]:
        async with hook(broker=broker, mode="sync", is_awaited=False) as made:
            await until(lambda: any(one.state == "starting" for one in made.statuses))
            before = [await made.send(b"1", JSON)]
            early = list(made.statuses)
            made.clock.ahead_s += 6
            await until(lambda: any(SILENT in one.text for one in made.statuses))
            before.append(await made.send(b"2", JSON))
            broker.admin().create([NewTopic(name=REPLIES, partitions=1)])
            await until(lambda: made.statuses[-1].state == "running")
            return early, before, made

    early, refused, made = asyncio.run(main())

    told = [one.document["detail"] for one in refused]
    assert not any(SILENT in one.text for one in early)
    assert (CONNECTING in told[0], SILENT in told[1]) == (True, True)
    assert {one.state for one in made.statuses if SILENT in one.text} == {"retrying"}


def test_a_run_that_does_not_answer_in_time_is_named_and_nothing_waits_on() -> None:
    async def main() -> tuple[Answered, Hook]:
        async with hook(mode="sync", reply={"timeout": "50ms"}) as made:
            return await made.send(b"1", JSON), made

    answered, made = asyncio.run(main())

    (record,) = made.records()
    assert answered.status == 504
    assert f"shop.hook-{record.partition()}-{record.offset()}" in answered.document["detail"]
    assert made.app._bridge.replies is not None
    assert made.app._bridge.replies._waiting == {}


def test_a_delivery_that_was_taken_already_has_no_answer_any_more() -> None:
    async def main() -> list[int]:
        headers = {**JSON, "x-delivery": "a"}
        async with hook(
            mode="sync", reply={"timeout": "50ms"}, idempotency={"header": "x-delivery"}
        ) as made:
            return [(await made.send(b"1", headers)).status for _ in range(2)]

    assert asyncio.run(main()) == [504, 409]


def test_an_answer_that_makes_no_sense_is_still_an_answer() -> None:
    async def main() -> list[Answered]:
        found = []
        async with hook(mode="sync") as made:
            replies: list[dict[str, Any]] = [
                {"status": b"999"},
                {"status": b"204"},
                {"status": b"\xff", "content-type": b"a\r\nx: y"},
            ]
            for number, headers in enumerate(replies):
                waiting = asyncio.create_task(made.send(b"%d" % number, JSON))
                ids = await request_ids(made, number + 1)
                for id_ in ids:
                    made.publish(REPLIES, b"{}", {"webhook-request": id_, **headers})
                found.append(await waiting)
        return found

    first, second, third = asyncio.run(main())

    assert (first.status, second.status, third.status) == (500, 204, 500)
    assert second.body == b""
    assert third.headers["content-type"] == "application/json"


def test_nothing_is_taken_before_answers_can_be_heard() -> None:
    async def main() -> tuple[int, str]:
        broker = MemoryBroker(clock=SystemClock())
        broker.admin().create([NewTopic(name="shop.hook", partitions=1)])
        async with hook(broker=broker, mode="sync", is_awaited=False) as made:
            await until(lambda: made.app._bridge.outgoing is not None)
            status = (await made.send(b"1", JSON)).status
            await until(lambda: any("reply topic" in one.text for one in made.statuses))
            return status, made.statuses[-1].state

    assert asyncio.run(main())[0] == 503


def test_slacks_challenge_is_answered_when_it_is_signed_and_is_no_record() -> None:
    body = b'{"type": "url_verification", "challenge": "3eZbrw1a", "token": "t"}'

    async def main() -> tuple[list[Answered], Hook]:
        async with hook(verify={"scheme": "slack"}, secrets=["one"]) as made:
            signed = made.app._verifier.sign(Signed(body, made.clock.now_ms(), ""))
            event = b'{"type": "event_callback", "event_id": "Ev1"}'
            other = made.app._verifier.sign(Signed(event, made.clock.now_ms(), ""))
            return [
                await made.send(body, JSON),
                await made.send(body, {**JSON, **signed}),
                await made.send(event, {**JSON, **other}),
            ], made

    answered, made = asyncio.run(main())

    assert [(one.status, one.body) for one in answered[1:]] == [(200, b"3eZbrw1a"), (200, b"")]
    assert answered[0].status == 401
    assert len(made.records()) == 1


def test_who_is_not_let_in_is_told_how_and_nothing_is_written() -> None:
    async def main() -> tuple[list[Answered], Hook]:
        async with (
            hook(verify={"scheme": "github"}, secrets=["one"]) as made,
            hook(verify={"scheme": "basic", "user": "ann"}, secrets=["pass"]) as other,
        ):
            return [
                await made.send(b"{}", {**JSON, "x-hub-signature-256": "sha256=00"}),
                await other.send(b"{}", JSON),
            ], made

    (signed, basic), made = asyncio.run(main())

    assert signed.status == basic.status == 401
    assert basic.headers["www-authenticate"] == 'Basic realm="webhook"'
    assert signed.headers["www-authenticate"] == 'Signature realm="webhook"'
    assert "one" not in signed.body.decode().split()
    assert made.records() == []
