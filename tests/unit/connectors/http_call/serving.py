"""A server over HTTP for tests, in the test's own event loop, on a free port of the loopback."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Answering = Callable[["Asked"], Awaitable[Response | Any] | Response | Any]


@dataclass
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers every request with what `answer` makes of it; what is no `Response` is sent as JSON."""

    answer: Answering = lambda asked: {"path": asked.path}
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def _serve(self, request: Request) -> Response:
        asked = Asked(
            request.method,
            request.scope["raw_path"].decode(),
            request.url.query,
            dict(request.headers),
            await request.body(),
        )
        self.asked.append(asked)
        made = self.answer(asked)
        if asyncio.iscoroutine(made):
            made = await made
        return made if isinstance(made, Response) else JSONResponse(made)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._serve, methods=METHODS)])


@asynccontextmanager
async def serving(
    answer: Answering | None = None,
    *,
    certificate: tuple[Path, Path] | None = None,
    ca: Path | None = None,
) -> AsyncIterator[Server]:
    """A server that runs as long as the block; with a certificate (and its key) encrypted, with `ca` asking for theirs."""
    server = Server(answer) if answer is not None else Server()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        server.application(), log_level="critical", lifespan="off", ws="none", access_log=False,
        ssl_certfile=certificate[0] if certificate else None,
        ssl_keyfile=certificate[1] if certificate else None,
        ssl_ca_certs=str(ca) if ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if ca else ssl.CERT_NONE,
        timeout_graceful_shutdown=1,
    )  # fmt: skip # one line per concern
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:  # uvicorn has no event for it
        await asyncio.sleep(0.005)
    scheme = "https" if certificate else "http"
    server.url = f"{scheme}://localhost:{listening.getsockname()[1]}"
    try:
        yield server
    finally:
        running.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def breaking(sent: bytes) -> AsyncIterator[str]:
    """A server that sends some bytes for each request and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
