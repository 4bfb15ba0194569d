"""Requests over connections that stay open, each with one request under way."""

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import cast

from benchmarks.webhooks.server import PATH, SECRET


@dataclass
class Load:
    """What came back. `latencies_s` are those of answers after the warm-up."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    accepted: int = 0
    """2xx in all, the warm-up too."""


class _Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, requests: "Requests", begin_s: float, end_s: float) -> None:
        self._load = load
        self._requests = requests
        self._begin_s, self._end_s = begin_s, end_s
        self._buffer = b""
        self._sent_s = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not asserted: those of uvloop are none of asyncio.Transport
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(self._requests.next())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(rest) < size:
            return
        self._buffer = rest[size:]
        now_s = time.perf_counter()
        status = int(head[9:12])
        self._load.accepted += 200 <= status < 300
        if self._sent_s >= self._begin_s:
            self._load.latencies_s.append(now_s - self._sent_s)
            self._load.statuses[status] = self._load.statuses.get(status, 0) + 1
        if now_s < self._end_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # as its parent has it
        if not self.done.done():
            self.done.set_result(None)


class Requests:
    """Signed requests with the same body, each a delivery of its own."""

    def __init__(self, body: bytes) -> None:
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: GitHub-Hookshot/0\r\naccept: */*\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nx-github-event: push\r\n"
            f"x-hub-signature-256: sha256={signature}\r\nx-github-delivery: "
        ).encode()
        self._body = body
        self._number = 0

    def next(self) -> bytes:
        """The next one."""
        self._number += 1
        return b"%s%032d\r\n\r\n%s" % (self._head, self._number, self._body)


async def send_load(
    port: int, body: bytes, *, connections: int, warm_up_s: float, seconds: float
) -> Load:
    """Send as fast as the answers come."""
    load, requests = Load(), Requests(body)
    begin_s = time.perf_counter() + warm_up_s
    loop = asyncio.get_running_loop()
    senders = [
        (
            await loop.create_connection(
                lambda: _Sender(load, requests, begin_s, begin_s + seconds), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(one.done for one in senders))
    return load
