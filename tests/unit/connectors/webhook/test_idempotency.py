"""A delivery is written once, as far back as is remembered."""

import asyncio
from typing import Any

import pytest

from headrace.connectors.webhook.remembered import Remembered
from tests.unit.connectors.webhook.asking import Hook, headers_of, hook, new_broker, route_of, until

JSON = {"content-type": "application/json"}
BY_HEADER: Any = {"idempotency": {"header": "X-Delivery"}}
DAY_MS = 86_400_000


def named(name: str) -> dict[str, str]:
    return {**JSON, "x-delivery": name}


def test_the_oldest_are_forgotten_when_there_are_too_many_and_when_their_window_is_over() -> None:
    remembered = Remembered(count_max=2, window_ms=100)
    for at_ms, digest in enumerate((b"a", b"b", b"b", b"c")):
        remembered.add(digest, at_ms)

    assert [remembered.has(one, 50) for one in (b"a", b"b", b"c")] == [False, True, True]
    assert [remembered.has(one, 102) for one in (b"b", b"c")] == [False, True]
    assert not remembered.has(b"c", 103)
    assert len(remembered) == 0


def test_a_duplicate_is_accepted_and_not_written_again() -> None:
    async def main() -> tuple[list[Any], Hook]:
        async with hook(**BY_HEADER) as made:
            return [await made.send(b"1", named(name)) for name in ("a", "a", "b", "")], made

    answered, made = asyncio.run(main())

    assert [one.status for one in answered] == [202, 200, 202, 202]
    assert answered[1].document == {"status": "duplicate"}
    assert [headers_of(one).get("webhook-delivery") for one in made.records()].count(b"a") == 1
    assert len(made.records()) == 3


def test_a_duplicate_can_be_refused_and_a_delivery_without_a_name_as_well() -> None:
    idempotency = {"header": "x-delivery", "duplicates": "refuse", "needed": True}

    async def main() -> list[int]:
        async with hook(idempotency=idempotency) as made:
            return [
                (await made.send(b"1", headers)).status
                for headers in (named("a"), named("a"), JSON, named("x" * 1_025))
            ]

    assert asyncio.run(main()) == [202, 409, 422, 422]


def test_a_delivery_that_is_under_way_is_waited_for_and_written_once() -> None:
    async def main() -> tuple[list[int], Hook]:
        async with hook(**BY_HEADER) as made:
            made.broker.stop()
            both = [asyncio.create_task(made.send(b"1", named("a"))) for _ in range(3)]
            await until(lambda: made.app._limits.in_flight.count == 3)
            made.broker.start()
            return [(await one).status for one in both], made

    statuses, made = asyncio.run(main())

    assert statuses == [202, 202, 202]
    assert len(made.records()) == 1


def test_what_was_acknowledged_too_late_for_its_sender_is_remembered_all_the_same() -> None:
    async def main() -> tuple[list[int], Hook]:
        async with hook(ack_timeout="50ms", **BY_HEADER) as made:
            made.broker.stop()
            first = await made.send(b"1", named("a"))
            again = await made.send(b"1", named("a"))
            made.broker.start()
            await until(lambda: made.app._bridge.unreported == 0)
            last = await made.send(b"1", named("a"))
            return [one.status for one in (first, again, last)], made

    statuses, made = asyncio.run(main())

    assert statuses == [503, 503, 200]
    assert len(made.records()) == 1


def test_what_failed_is_not_remembered() -> None:
    async def main() -> list[int]:
        async with hook(**BY_HEADER) as made:
            made.broker.faults.fail_next_delivery("shop.hook")
            return [(await made.send(b"1", named("a"))).status for _ in range(3)]

    assert asyncio.run(main()) == [503, 202, 200]


def test_a_new_worker_knows_what_was_taken_before_from_the_end_of_the_topic() -> None:
    async def main() -> tuple[list[int], int]:
        broker = new_broker(route_of(**BY_HEADER), partitions=3)
        async with hook(broker=broker, **BY_HEADER) as first:
            for number in range(50):
                await first.send(b"1", named(f"d-{number}"))
        async with hook(broker=broker, **BY_HEADER) as second:
            statuses = [(await second.send(b"1", named(f"d-{n}"))).status for n in range(51)]
            return statuses, len(second.records())

    statuses, records = asyncio.run(main())

    assert statuses == [200] * 50 + [202]
    assert records == 51


def test_no_more_of_the_topic_is_read_than_is_remembered() -> None:
    config: Any = {"idempotency": {"header": "x-delivery", "remembered": 10}}

    async def main() -> list[int]:
        broker = new_broker(route_of(**config), partitions=1)
        async with hook(broker=broker, **config) as first:
            for number in range(30):
                await first.send(b"1", named(f"d-{number}"))
        async with hook(broker=broker, **config) as second:
            return [(await second.send(b"1", named(f"d-{n}"))).status for n in (29, 20, 19)]

    assert asyncio.run(main()) == [200, 200, 202]


def test_workers_that_follow_the_topic_know_what_others_take() -> None:
    config: Any = {"idempotency": {"header": "x-delivery", "across_workers": True}}

    async def main() -> tuple[int, int]:
        broker = new_broker(route_of(**config))
        async with hook(broker=broker, **config) as one, hook(broker=broker, **config) as other:
            first = await one.send(b"1", named("a"))
            await until(lambda: len(other.app._deliveries._remembered) == 1)
            return first.status, (await other.send(b"1", named("a"))).status

    assert asyncio.run(main()) == (202, 200)


@pytest.mark.parametrize(
    ("config", "secret", "body", "headers"),
    [
        ({"verify": {"scheme": "github"}}, "one", b"{}", {}),
        ({"verify": {"scheme": "standard"}}, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}", {}),
        ({"verify": {"scheme": "stripe"}}, "one", b'{"id": "evt_1"}', {}),
        ({"verify": {"scheme": "slack"}}, "one", b'{"event_id": "Ev1"}', {}),
        ({"idempotency": {"key": 'f"{event.a}-{headers.x}"'}}, "", b'{"a": 1}', {"x": "2"}),
    ],
)
def test_every_sender_names_its_deliveries_its_own_way(
    config: Any, secret: str, body: bytes, headers: Any
) -> None:
    from headrace.connectors.webhook.signatures import Signed

    async def main() -> tuple[list[int], int]:
        async with hook(secrets=[secret] if secret else [], **config) as made:
            signed = made.app._verifier.sign(Signed(body, made.clock.now_ms(), "d-1"))
            sent = {**JSON, **headers, **signed}
            return [(await made.send(body, sent)).status for _ in range(2)], len(made.records())

    statuses, records = asyncio.run(main())

    assert statuses in ([202, 200], [200, 200])
    assert records == 1


def test_without_idempotency_every_request_is_a_record() -> None:
    async def main() -> int:
        async with hook(verify={"scheme": "github"}, secrets=["one"], idempotency="none") as made:
            from headrace.connectors.webhook.signatures import Signed

            sent = {**JSON, **made.app._verifier.sign(Signed(b"{}", 0, "d"))}
            for _ in range(2):
                assert (await made.send(b"{}", sent)).status == 202
            return len(made.records())

    assert asyncio.run(main()) == 2
