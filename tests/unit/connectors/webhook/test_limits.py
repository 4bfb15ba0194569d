"""How much is taken on."""

import asyncio

import pytest

from headrace.connectors.webhook.answers import RefusedError
from headrace.connectors.webhook.limits import SOURCES_MAX, Bucket, InFlight, RateLimit
from tests.unit.connectors.webhook.asking import PATH, Answered, Hook, hook, until

JSON = {"content-type": "application/json"}


def test_a_bucket_gives_its_burst_at_once_and_then_evenly() -> None:
    bucket = Bucket(limit=10, per_s=1.0, burst=3, now_s=0.0)

    waits = [bucket.take(now_s) for now_s in (0.0, 0.0, 0.0, 0.0, 0.05, 0.1, 0.1, 100.0)]

    assert waits == [0, 0, 0, pytest.approx(0.1), pytest.approx(0.05), 0, pytest.approx(0.1), 0]


def test_the_rate_of_one_source_does_not_touch_another_and_the_memory_of_sources_is_bounded() -> (
    None
):
    rate = RateLimit(1, 60.0, 1, is_per_source=True)
    rate.check("a", 0.0)
    rate.check("b", 0.0)

    with pytest.raises(RefusedError) as refused:
        rate.check("a", 1.0)
    for number in range(SOURCES_MAX):
        rate.check(str(number), 2.0)
    rate.check("a", 3.0)

    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "59")


def test_requests_at_once_are_counted_in_all_and_per_source() -> None:
    in_flight = InFlight(count_max=3, source_max=2)
    with in_flight.one_more("a", 0), in_flight.one_more("a", 0):
        with pytest.raises(RefusedError) as third, in_flight.one_more("a", 0):
            pass
        with (
            in_flight.one_more("b", 0),
            pytest.raises(RefusedError) as fourth,
            in_flight.one_more("c", 0),
        ):
            pass
        with pytest.raises(RefusedError) as unreported, in_flight.one_more("b", 3):
            pass

    assert [one.value.status for one in (third, fourth, unreported)] == [429, 503, 503]
    assert in_flight.count == 0


def test_too_many_requests_are_refused_before_anything_else_and_for_unknown_paths_too() -> None:
    async def main() -> list[Answered]:
        async with hook(limits={"rate": {"limit": 2, "per": "1h"}}) as made:
            return [
                await made.send(b"1", JSON, path=PATH + "/nowhere"),
                await made.send(b"1", JSON),
                await made.send(b"1", JSON, path=PATH + "/nowhere"),
                await made.send(b"1", JSON, sender="192.0.2.2"),
            ]

    answered = asyncio.run(main())

    assert [one.status for one in answered] == [404, 202, 429, 429]
    assert int(answered[-1].headers["retry-after"]) > 1_000


def test_slow_bodies_of_one_source_do_not_keep_others_out() -> None:
    async def main() -> list[int]:
        limits = {"in_flight_per_source": 2, "body_timeout": "200ms"}
        async with hook(limits=limits) as made:
            slow = [
                asyncio.create_task(made.send([b"{"], JSON, hangs=True, sender="192.0.2.66"))
                for _ in range(2)
            ]
            await until(lambda: made.app._limits.in_flight.count == 2)
            third = await made.send(b"1", JSON, sender="192.0.2.66")
            other = await made.send(b"1", JSON)
            return [third.status, other.status, *[(await one).status for one in slow]]

    assert asyncio.run(main()) == [429, 202, 408, 408]


def test_while_the_broker_is_away_memory_is_bounded_by_the_requests_in_flight() -> None:
    async def main() -> tuple[list[int], list[int], Hook]:
        async with hook(limits={"in_flight": 5}, ack_timeout="100ms") as made:
            made.broker.stop()
            first = await asyncio.gather(*(made.send(b"%d" % n, JSON) for n in range(8)))
            # Their senders were told, but what became of the records is unknown: no more are taken.
            later = await asyncio.gather(*(made.send(b"%d" % n, JSON) for n in range(8, 12)))
            assert made.app._bridge.unreported == 5
            made.broker.start()
            await until(lambda: made.app._bridge.unreported == 0)
            last = await made.send(b"12", JSON)
            return [one.status for one in (*first, *later)], [last.status], made

    refused, taken, made = asyncio.run(main())

    assert set(refused) == {503}
    assert taken == [202]
    assert len(made.records()) == 6


def test_bodies_that_come_slowly_hold_no_more_memory_than_there_is_for_them() -> None:
    async def main() -> tuple[int, Hook]:
        limits = {"body": 1_000, "held": 2_500, "body_timeout": "200ms"}
        async with hook(limits=limits) as made:
            slow = [
                asyncio.create_task(made.send([b"x" * 900], JSON, hangs=True)) for _ in range(2)
            ]
            await until(lambda: made.app._limits.held.bytes == 1_800)
            status = (await made.send(b" " * 799 + b"1", JSON)).status
            for one in slow:
                assert (await one).status == 408
            assert (await made.send(b" " * 799 + b"1", JSON)).status == 202
            return status, made

    status, made = asyncio.run(main())

    assert status == 503
    assert made.app._limits.held.bytes == 0
