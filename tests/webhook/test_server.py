"""What is done to servers: pipelines, half requests, wrong lengths, huge heads; and who behaves is served all the while."""

import asyncio
import json
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from tests.unit.connectors.webhook.asking import records_of
from tests.webhook.sending import answer, request
from tests.webhook.serving import PATH, served

JSON = {"content-type": "application/json"}
HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
WAIT_S = 20.0


class Connection:
    """A connection on which anything can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def status(self) -> int:
        """Of the next answer; 0 where the server closes without one."""
        try:
            async with asyncio.timeout(WAIT_S):
                return (await answer(self._reader))[0]
        except (OSError, asyncio.IncompleteReadError):
            return 0

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            return


def answered_to(
    *texts: bytes, count: int = 1, **config: Any
) -> tuple[list[int], int, MemoryBroker]:
    """The answers to raw bytes, that of somebody who comes afterwards, and the broker."""
    broker = MemoryBroker(clock=SystemClock())

    async def main(port: int) -> tuple[list[int], int]:
        connection = await Connection.to(port)
        for text in texts:
            connection.writer.write(text)
            await connection.writer.drain()
        statuses = [await connection.status() for _ in range(count)]
        other = await Connection.to(port)
        other.writer.write(request(b'"after"', JSON))
        after = await other.status()
        await connection.close()
        await other.close()
        return statuses, after

    with served(broker, **config) as hook:
        statuses, after = asyncio.run(main(hook.port))
    return statuses, after, broker


def values(broker: MemoryBroker) -> list[Any]:
    return sorted(json.loads(record.value() or b"") for record in records_of(broker, "shop.hook"))


def test_requests_in_a_pipeline_are_answered_in_their_order() -> None:
    texts = [request(b'"%d"' % number if number != 3 else b"{", JSON) for number in range(8)]

    statuses, after, broker = answered_to(b"".join(texts), count=8)

    assert (statuses, after) == ([202, 202, 202, 422, 202, 202, 202, 202], 202)
    assert values(broker) == sorted(["0", "1", "2", "4", "5", "6", "7", "after"])


def test_a_body_in_chunks_is_one_body_and_too_many_chunks_are_too_much() -> None:
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    much = chunked + b"".join(b"3e8\r\n" + b" " * 1_000 + b"\r\n" for _ in range(100))

    statuses, after, broker = answered_to(chunked + b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n")
    too_much, still, _ = answered_to(much, limits={"body": 10_000})

    assert (statuses, after, too_much, still) == ([202], 202, [413], 202)
    assert [record.value() for record in records_of(broker, "shop.hook")].count(b"[]") == 1


@pytest.mark.parametrize(
    "text",
    [
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        HEAD + b"content-length: x\r\n\r\n{}",
        HEAD + b"content-length: -2\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\nxx\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        HEAD + b"x: " + b"y" * 300_000 + b"\r\n\r\n",
        HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
        HEAD + b"bad header\r\n\r\n",
        HEAD + b"x: a\x00b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 200 + b"\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"\r\n" * 50_000,
    ],
)
def test_what_is_no_request_is_refused_and_harms_nobody(text: bytes) -> None:
    statuses, after, broker = answered_to(text)

    assert statuses[0] in (0, 400, 404, 413, 431)
    assert after == 202
    assert values(broker) == ["after"]


def test_a_length_that_is_longer_than_the_body_is_not_waited_for_for_ever() -> None:
    short = HEAD + b"content-length: 100\r\n\r\n{}"

    statuses, after, broker = answered_to(short, limits={"body_timeout": "200ms"})

    assert (statuses, after) == ([408], 202)
    assert values(broker) == ["after"]


def test_a_length_that_is_shorter_than_the_body_ends_the_body_there() -> None:
    statuses, after, broker = answered_to(
        HEAD + b"content-length: 2\r\n\r\n{}garbage\r\n\r\n", count=2
    )

    assert (statuses[0], after) == (202, 202)
    assert statuses[1] in (0, 400)
    assert len(records_of(broker, "shop.hook")) == 2


def test_a_told_length_beyond_the_limit_is_refused_before_the_body() -> None:
    statuses, _, broker = answered_to(HEAD + b"content-length: 99999999999\r\n\r\n")

    assert statuses == [413]
    assert values(broker) == ["after"]


def test_a_hundred_slow_senders_do_not_keep_one_from_elsewhere_out() -> None:
    broker = MemoryBroker(clock=SystemClock())

    async def main(port: int) -> tuple[int, set[int]]:
        slow = [await Connection.to(port) for _ in range(100)]
        for one in slow:
            one.writer.write(HEAD + b"content-length: 100\r\nx-forwarded-for: 192.0.2.66\r\n\r\n{")
        other = await Connection.to(port)
        other.writer.write(request(b'"after"', {**JSON, "x-forwarded-for": "192.0.2.1"}))
        served = await other.status()
        statuses = {await one.status() for one in slow}
        for one in [*slow, other]:
            await one.close()
        return served, statuses

    limits = {"in_flight_per_source": 10, "body_timeout": "1s"}
    with served(broker, limits=limits, proxies=1) as hook:
        status, slow = asyncio.run(main(hook.port))

    assert status == 202
    assert slow == {408, 429}
    assert values(broker) == ["after"]


def test_bytes_that_are_no_text_in_path_and_headers_are_just_unknown() -> None:
    odd = b"POST /%ff%00/../hook HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    latin = HEAD + b"content-length: 2\r\nx-name: \xe9\xff\r\n\r\n{}"

    (unknown,), _, _ = answered_to(odd)
    (known,), _, broker = answered_to(latin, headers=["x-name"])

    assert (unknown, known) == (404, 202)
    names = [
        dict(record.headers() or ()).get("x-name") for record in records_of(broker, "shop.hook")
    ]
    assert b"\xe9\xff" in names
