"""Feeds: where they run, how they end, and what becomes of their failures."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.action import ActionConfig, Source, TriggerAction
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.feed import Exclusive, Feed, FeedPlace, FeedStatus, FeedTopic
from headrace.runtime.environment import Values
from headrace.runtime.errors import FencedError, HeadraceError, RestartError, RetriableError
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker import feeds as module
from headrace.runtime.worker.feeds import Feeds
from headrace.runtime.worker.topics import ensure_topics
from tests.unit.actions import installed
from tests.unit.running import plans_of

WAIT_S = 10.0
FLOW = """
name: flow
stages:
  - {name: source, action: fed, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
OWNER = TopicPartition("flow.source", 0)


class Fed(TriggerAction):
    """Reads what a test's function writes."""

    Config = ActionConfig
    run: Callable[[FeedPlace], None]

    def __init__(self, config: Any, topic: str = "") -> None:
        super().__init__(config)
        self._topic = topic

    def placed(self, flow: str, stage: str) -> "Fed":
        return Fed(self.config, f"{flow}.{stage}")

    def source(self) -> Source:
        return Source(topics=(self._topic,))

    def feed(self) -> Feed:
        return _Feed(self._topic)


class _Feed(Exclusive):
    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topics(self) -> Sequence[FeedTopic]:
        config = {"retention.ms": "1000"}
        return (FeedTopic(name=self._topic, partitions=3, config=config),)

    def run(self, place: FeedPlace) -> None:
        Fed.run(place)


class Part:
    """A worker's feeds with an assignment that the test decides."""

    def __init__(self) -> None:
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.failure: BaseException | None = None
        self.failed = Event()
        self.broker = MemoryBroker()
        plans = plans_of(FLOW)
        self.settings = WorkerSettings(engine="memory", create_topics=True)
        self.topics = ensure_topics(self.broker.admin(), plans, self.settings)
        self.feeds = Feeds(
            plans,
            settings=self.settings,
            broker=self.broker,
            values=Values({}, {}),
            clock=SystemClock(),
            assignment=lambda group: self.assigned,
            fail=self._fail,
        )

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.failed.set()

    def state(self) -> str:
        return self.feeds.statuses["flow", "source"].state


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("LOOK_S", "PAUSE_S", "PAUSE_S_MAX", "FAILED_PAUSE_S"):
        monkeypatch.setattr(module, name, 0.01)
    with installed("fed", Fed):
        made = Part()
        yield made
        made.feeds.stop()
        made.feeds.join()


def test_a_feed_has_its_topics_before_anything_runs(part: Part) -> None:
    topic = part.topics.described["flow.source"]

    assert topic.partitions == 3
    assert topic.retention_ms == 1000


def test_a_feed_runs_where_its_partition_is_and_ends_when_that_goes(part: Part) -> None:
    begun, ended = Event(), Event()

    def run(place: FeedPlace) -> None:
        assert (place.name, place.flow, place.stage) == ("headrace.flow.source", "flow", "source")
        begun.set()
        place.stopped.wait(WAIT_S)
        ended.set()

    Fed.run = staticmethod(run)
    part.feeds.start()
    was_elsewhere = not begun.wait(0.05)
    part.assigned = frozenset([OWNER])
    is_begun = begun.wait(WAIT_S)
    part.assigned = frozenset([TopicPartition("flow.source", 1)])

    assert was_elsewhere
    assert is_begun
    assert ended.wait(WAIT_S)


@pytest.mark.parametrize(
    ("error", "state", "level"),
    [
        (RetriableError("later"), "retrying", "WARNING"),
        (FencedError("theirs"), "waiting", "INFO"),
        (HeadraceError("mend it"), "failed", "ERROR"),
    ],
)
def test_a_failure_is_told_and_the_feed_is_begun_anew(
    part: Part, caplog: pytest.LogCaptureFixture, error: Exception, state: str, level: str
) -> None:
    caplog.set_level("INFO")
    again = Event()
    seen: list[str] = []

    def run(place: FeedPlace) -> None:
        if not seen:
            seen.append("")
            raise error
        seen.append(part.state())
        again.set()
        place.stopped.wait(WAIT_S)

    Fed.run = staticmethod(run)
    part.assigned = frozenset([OWNER])
    part.feeds.start()

    assert again.wait(WAIT_S)
    assert seen[1] == state
    assert part.failure is None
    told = [one.levelname for one in caplog.records if f"'source' is {state}" in one.message]
    assert told[0] == level


@pytest.mark.parametrize("error", [RestartError("over"), ValueError("a mistake")])
def test_what_ends_the_worker_does(part: Part, error: Exception) -> None:
    def run(place: FeedPlace) -> None:
        place.report(FeedStatus(state="running"))
        raise error

    Fed.run = staticmethod(run)
    part.assigned = frozenset([OWNER])
    part.feeds.start()

    assert part.failed.wait(WAIT_S)
    assert part.failure is error
