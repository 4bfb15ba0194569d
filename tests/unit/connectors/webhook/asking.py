"""A webhook on a broker in memory, and somebody who sends requests to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.webhook.application import WebhookApplication
from headrace.connectors.webhook.trigger import Webhook
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    Message,
    NewTopic,
    ProducerSettings,
    TopicPartition,
)
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus, Route

WAIT_S = 20.0
PATH = "/hooks/shop/hook"
TOPIC = "shop.hook"


class FixedClock(SystemClock):
    """A clock whose date a test decides; time passes by itself, and by `ahead_s`."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.at_ms = now_ms
        self.ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    def now_ms(self) -> int:
        return self.at_ms


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """One webhook in one worker."""

    app: WebhookApplication
    broker: MemoryBroker
    clock: FixedClock
    statuses: list[FeedStatus] = field(default_factory=list)

    async def send(
        self,
        body: bytes | Sequence[bytes] = b"{}",
        headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] = (),
        *,
        method: str = "POST",
        path: str = PATH,
        sender: str = "192.0.2.1",
        hangs: bool = False,
        leaves: bool = False,
    ) -> Answered:
        """Send a request; `hangs` or `leaves` after the given parts of the body."""
        parts = [body] if isinstance(body, bytes) else list(body)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        raw = [
            (name.encode("latin-1").lower(), text.encode("latin-1"))
            if isinstance(name, str) and isinstance(text, str)
            else (name, text)
            for name, text in pairs
        ]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": PATH,
            "headers": raw,
            "client": (sender, 50_000),
        }
        messages: list[dict[str, Any]] = [
            {
                "type": "http.request",
                "body": part,
                "more_body": hangs or leaves or number < len(parts) - 1,
            }
            for number, part in enumerate(parts)
        ]
        if leaves:
            messages.append({"type": "http.disconnect"})
        sent: list[Any] = []

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(WAIT_S):
            await self.app(scope, receive, send)
        if not sent:
            return Answered(0, {}, b"")
        start, *rest = sent
        found = {name.decode(): text.decode("latin-1") for name, text in start["headers"]}
        return Answered(start["status"], found, b"".join(one["body"] for one in rest))

    def records(self, topic: str = TOPIC) -> list[Message]:
        """Everything in a topic."""
        return records_of(self.broker, topic)

    def publish(self, topic: str, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Write as a flow would."""
        producer = self.broker.producer(ProducerSettings(client_id="flow"))
        producer.produce(topic, value, headers=list(headers.items()))
        producer.close()


def records_of(broker: MemoryBroker, topic: str) -> list[Message]:
    admin = broker.admin()
    described = admin.describe([topic])[topic]
    every = [TopicPartition(topic, number) for number in range(described.partitions)]
    reader = broker.reader("test", {})
    reader.assign(dict.fromkeys(every, 0))
    found = reader.read(100_000, 0.001)
    reader.close()
    return found


def headers_of(message: Message) -> dict[str, bytes | None]:
    return dict(message.headers() or ())


async def until(is_so: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_so():
            await asyncio.sleep(0.005)


def route_of(**config: Any) -> Route:
    """The route of a config; anybody may send unless it says otherwise."""
    action = Webhook(Webhook.Config.model_validate({"verify": "none", **config}))
    assert not list(action.problems())
    return action.placed("shop", "hook").feed()


def new_broker(route: Route, *, partitions: int = 2) -> MemoryBroker:
    """A broker with the topics of a route."""
    broker = MemoryBroker(clock=SystemClock())
    broker.admin().create(
        [
            NewTopic(name=one.name, partitions=one.partitions or partitions, config=one.config)
            for one in route.topics()
        ]
    )
    return broker


@asynccontextmanager
async def hook(
    *,
    secrets: Sequence[str] = (),
    broker: MemoryBroker | None = None,
    is_awaited: bool = True,
    **config: Any,
) -> AsyncIterator[Hook]:
    """A webhook that runs; `secrets` are the values of those in the config."""
    if secrets:
        scheme = config["verify"] if isinstance(config["verify"], dict) else {}
        names = [f"${{secret.S{number}}}" for number in range(len(secrets))]
        config["verify"] = {**scheme, "secrets": names}
    route = route_of(**config)
    broker = broker or new_broker(route)
    clock = FixedClock()
    statuses: list[FeedStatus] = []
    place = FeedPlace(
        name="headrace.shop.hook",
        flow="shop",
        stage="hook",
        settings={f"secret_{number}": one for number, one in enumerate(secrets)},
        broker=broker,
        client={},
        clock=clock,
        stopped=Event(),
        report=statuses.append,
    )
    app = route.application(place)
    made = Hook(app, broker, clock, statuses)
    try:
        if is_awaited:
            await until(lambda: not app.why_not)
        yield made
    finally:
        await app.close()
