"""Every action that calls the outside, as the contract suite sees it: with a target of the test's own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.responses import Response

from headrace.connectors.file.action import File
from headrace.connectors.http_call.action import Http
from headrace.connectors.notify.action import Notify
from headrace.connectors.sql.action import Sql
from headrace.runtime.contracts.action import Action
from tests.cdc.postgres_server import free_port
from tests.unit.connectors.http_call.serving import Asked, serving

SECRET = "a/secret&of=ours"  # must not be seen again


@dataclass
class Place:
    """A stage's config and its target. `written` are the numbers of the events that have arrived, in their order."""

    kind: type[Action]
    config: dict[str, Any]
    written: Callable[[], Sequence[int]]


def event(number: int) -> dict[str, Any]:
    """An event that every target takes."""
    return {"id": number, "name": f"n{number}"}


@asynccontextmanager
async def http(folder: Path) -> AsyncIterator[Place]:
    async with serving(lambda asked: {}) as server:
        config = {"url": f"{server.url}/take", "headers": {"x-token": "${secret.PASSWORD}"}}
        yield Place(Http, {**config, "method": "POST"}, lambda: _numbers(server.asked))


def _numbers(asked: Sequence[Asked]) -> list[int]:
    return [orjson.loads(one.body)["id"] for one in asked]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Place]:
    path = folder / "sink.db"

    def sql(statement: str) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as client:
            return client.execute(statement).fetchall()

    sql("create table sink (id integer primary key, name text)")
    config = {"database": f"sqlite:///{path}", "table": "sink"}
    yield Place(Sql, config, lambda: [row[0] for row in sql("select id from sink order by rowid")])


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[Place]:
    def written() -> list[int]:
        found = [*folder.rglob("*.jsonl"), *folder.rglob(".*.part")]
        lines = [line for path in sorted(found) for line in path.read_bytes().splitlines()]
        return [orjson.loads(line)["id"] for line in lines]

    yield Place(File, {"folder": str(folder)}, written)


@asynccontextmanager
async def slack(folder: Path) -> AsyncIterator[Place]:
    async with serving(lambda asked: Response("ok")) as server:
        url = f"{server.url}/hooks/${{secret.PASSWORD}}"
        config = {"slack": {"url": url, "text": "${event.id}"}}
        yield Place(
            Notify, config, lambda: [int(orjson.loads(one.body)["text"]) for one in server.asked]
        )


@asynccontextmanager
async def email(folder: Path) -> AsyncIterator[Place]:
    subjects: list[int] = []

    class Handler:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # the name that aiosmtpd calls
            content = envelope.content or b""
            lines = (content if isinstance(content, bytes) else content.encode()).splitlines()
            subjects.extend(int(line[9:]) for line in lines if line.startswith(b"Subject: "))
            return "250 taken"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port())
    await asyncio.to_thread(controller.start)
    try:
        message = {"from": "a@example.com", "to": "b@example.com", "subject": "${event.id}"}
        server = {"server": "127.0.0.1", "port": controller.port, "tls": "none"}
        yield Place(Notify, {"email": {**server, **message, "text": "hello"}}, lambda: subjects)
    finally:
        await asyncio.to_thread(controller.stop)


Opened = Callable[[Path], AbstractAsyncContextManager[Place]]
SINKS: dict[str, Opened] = {
    "http": http,
    "sql": sqlite,
    "file": files,
    "slack": slack,
    "email": email,
}


def unreachable(folder: Path) -> dict[str, tuple[type[Action], dict[str, Any]]]:
    """Configs of targets that nobody answers at."""
    port = free_port()
    message = {"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}
    mail = {"server": "127.0.0.1", "port": port, "tls": "none", **message}
    password = {"password": "${secret.PASSWORD}"}
    return {
        "http": (
            Http,
            {"url": f"http://user:${{secret.PASSWORD}}@127.0.0.1:{port}/x", "method": "POST"},
        ),
        "postgresql": (
            Sql,
            {"database": f"postgresql://u@127.0.0.1:{port}/d", **password, "table": "t"},
        ),
        "mysql": (
            Sql,
            {"database": f"mysql://u@127.0.0.1:{port}/d", **password, "table": "t"},
        ),
        "slack": (
            Notify,
            {"slack": {"url": f"http://127.0.0.1:{port}/${{secret.PASSWORD}}", "text": "t"}},
        ),
        "email": (Notify, {"email": mail}),
    }
