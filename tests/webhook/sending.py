"""Who sends to a webhook: over connections that stay open, one request under way on each."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.webhook.serving import PATH


@dataclass
class Sent:
    """What was answered, per delivery; 0 where the connection broke."""

    statuses: dict[str, list[int]] = field(default_factory=dict)

    def note(self, delivery: str, status: int) -> None:
        self.statuses.setdefault(delivery, []).append(status)

    @property
    def accepted(self) -> set[str]:
        return {one for one, found in self.statuses.items() if any(200 <= s < 300 for s in found)}

    @property
    def refused(self) -> set[str]:
        return set(self.statuses) - self.accepted

    @property
    def seen(self) -> set[int]:
        return {status for found in self.statuses.values() for status in found}


def request(body: bytes, headers: Mapping[str, str], *, path: str = PATH) -> bytes:
    """A request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """The next answer of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {
        name.strip().lower(): text.strip()
        for name, _, text in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


class Sender:
    """Sends one delivery after the other, and connects anew where a connection broke."""

    def __init__(self, port: int, sent: Sent) -> None:
        self._port = port
        self._sent = sent
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, delivery: str, body: bytes) -> int:
        headers = {"content-type": "application/json", "x-delivery": delivery}
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request(body, headers))
            status, told, _ = await answer(reader)
            if told.get("connection") == "close":
                await self.close()
        except (OSError, asyncio.IncompleteReadError):
            status = 0
            await self.close()
        self._sent.note(delivery, status)
        return status

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
