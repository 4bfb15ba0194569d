"""Triggers whose records headrace itself writes to a topic: schedules, databases, webhooks.

Every trigger reads topics. A trigger that also has a `Feed` says which topics these are, and what writes to them: on one worker
of the cluster, the owner of partition 0 of the first topic (`Exclusive`), or on every worker that answers over HTTP (`Route`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, Broker, Producer, ProducerSettings, Reader
from headrace.runtime.expression import Template

MESSAGE_BYTES_MAX = 1_000_000
"""The largest record that a feed writes, unless it asks for more."""
FeedState = Literal["starting", "snapshot", "running", "waiting", "retrying", "paused", "failed"]


@dataclass(frozen=True, kw_only=True)
class FeedTopic:
    """A topic that a feed needs; created by every worker that runs the flow. `partitions` None leaves it to the settings."""

    name: str
    partitions: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FeedStatus:
    """How a feed is, for /health, /metrics and the command line. `text` says what to do about a failure; holds no secret."""

    state: FeedState
    text: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Such as `lag_bytes`, `snapshot_rows`; names are those of metrics."""


@dataclass(frozen=True)
class FeedPlace:
    """Where a feed runs.

    `name` is `<prefix>.<flow>.<stage>`, the same on every worker: names of slots and transactional ids are made of it.
    `settings` has the value of each of `Feed.settings`. A feed ends soon after `stopped` is set. `report` is thread-safe.
    """

    name: str
    flow: str
    stage: str
    settings: Mapping[str, Any]
    broker: Broker
    client: Mapping[str, str]
    clock: Clock
    stopped: Event
    report: Callable[[FeedStatus], None]
    group: str = ""
    """The flow's consumer group; empty where it is `<prefix>.<flow>`."""

    def producer(
        self, *, is_transactional: bool = True, message_bytes_max: int = MESSAGE_BYTES_MAX
    ) -> Producer:
        """A producer; a transactional one fences the feed's predecessor by `init_transactions`. For the caller to close."""
        return self.broker.producer(
            ProducerSettings(
                client_id=f"{self.name}.feed",
                transactional_id=f"{self.name}.feed" if is_transactional else None,
                message_bytes_max=message_bytes_max,
                batch_bytes_max=max(MESSAGE_BYTES_MAX, message_bytes_max),
                client=dict(self.client),
            )
        )

    def reader(self) -> Reader:
        """A read-committed reader. For the caller to close."""
        return self.broker.reader(f"{self.name}.feed", self.client)

    def admin(self) -> Admin:
        """For the caller to close."""
        return self.broker.admin()


class Feed(ABC):
    """What writes to a trigger's topics. Made when the plan is built; immutable; holds no connection."""

    @abstractmethod
    def topics(self) -> Sequence[FeedTopic]:
        """The topics it needs. Its owner is who has partition 0 of the first one."""

    def settings(self) -> Mapping[str, Template]:
        """What connections need; may mention `env` and `secret` only."""
        return {}


class Exclusive(Feed):
    """A feed that runs once in a cluster, in a thread of its own."""

    @abstractmethod
    def run(self, place: FeedPlace) -> None:
        """Write until `place.stopped` is set.

        Raises:
            FencedError: another worker has it now; nothing more is done here.
            RetriableError: run it again after a pause.
            HeadraceError: it cannot go on and is reported as failed; the worker ends where it is a `RestartError`.
        """


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """A request that a route takes. `path` is that of the route."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Route(Feed):
    """A feed that answers HTTP requests, on every worker that has the setting `http`."""

    @abstractmethod
    def path(self) -> str:
        """Where it is mounted, such as `/hooks/github`."""

    @abstractmethod
    def application(self, place: FeedPlace) -> Any:
        """An ASGI application, in the event loop of the worker, mounted at `path` (its `root_path`); its lifespan is not run.

        It may have a coroutine function `close`, which is called when the worker stops.
        """

    def sample(
        self,
        settings: Mapping[str, Any],  # noqa: ARG002 # for those who can
        clock: Clock,  # noqa: ARG002
        *,
        body: bytes | None = None,  # noqa: ARG002
        content_type: str | None = None,  # noqa: ARG002
    ) -> SampleRequest | None:
        """A request signed with the route's own secrets, to try it out; None where there is nothing to try.

        Raises:
            SettingsError: it cannot be signed here.
        """
        return None
