"""A webhook on a real server, in a thread of its own, as a worker has it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.webhook.application import WebhookApplication
from headrace.connectors.webhook.trigger import Webhook
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Broker, NewTopic
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus

PATH = "/hook"
WAIT_S = 60.0
REQUEST_BYTES_MAX = 65_536


@dataclass
class Served:
    """Where it is, and how it is."""

    port: int
    topic: str
    statuses: list[FeedStatus] = field(default_factory=list)


class _Mounted:
    """What a worker does for a route: the application sees where it is mounted."""

    def __init__(self, application: WebhookApplication) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application({**scope, "root_path": PATH}, receive, send)


@contextmanager
def served(
    broker: Broker, *, secrets: Mapping[str, str] | None = None, **config: Any
) -> Iterator[Served]:
    """A webhook that takes requests; its topics are made where they are missing."""
    action = Webhook(Webhook.Config.model_validate({"path": PATH, "verify": "none", **config}))
    placed = action.placed("shop", "hook")
    route = placed.feed()
    admin = broker.admin()
    try:
        admin.create(
            [
                NewTopic(name=one.name, partitions=one.partitions or 2, config=one.config)
                for one in route.topics()
            ]
        )
    finally:
        admin.close()
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    found = Served(listening.getsockname()[1], placed.topic)
    place = FeedPlace(
        name=f"test.{placed.topic}",
        flow="shop",
        stage="hook",
        settings=dict(secrets or {}),
        broker=broker,
        client={},
        clock=SystemClock(),
        stopped=threading.Event(),
        report=found.statuses.append,
    )
    ready, end = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(route, place, listening, ready, end)), name="webhook"
    )
    thread.start()
    try:
        assert ready.wait(WAIT_S), "the webhook did not become ready"
        yield found
    finally:
        end.set()
        thread.join(WAIT_S)
        listening.close()


async def _serve(
    route: Any, place: FeedPlace, listening: socket.socket, ready: Any, end: Any
) -> None:
    application = route.application(place)
    config = uvicorn.Config(
        _Mounted(application),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=REQUEST_BYTES_MAX,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # of older servers
    serving = asyncio.create_task(server._serve([listening]))
    while application.why_not or not server.started:
        await asyncio.sleep(0.01)
    ready.set()
    await asyncio.to_thread(end.wait)
    server.should_exit = True
    await serving
    await application.close()


def kafka(brokers: str) -> KafkaBroker:
    return KafkaBroker(brokers)
