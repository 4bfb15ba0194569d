"""What holds of every trigger that writes to its topic by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import orjson
import pytest
import re2

from headrace.connectors.cdc import CdcTrigger
from headrace.connectors.manual import Manual
from headrace.connectors.memory import MemoryBroker
from headrace.connectors.schedule import Schedule
from headrace.connectors.webhook.trigger import Webhook as Webhook
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.action import TriggerAction
from headrace.runtime.contracts.broker import Broker, NewTopic, TopicPartition
from headrace.runtime.contracts.feed import Exclusive, Feed, FeedPlace, FeedStatus
from headrace.runtime.errors import FencedError
from headrace.runtime.expression.given import values_of
from tests.cdc.conftest import Database, own_postgres, postgres, shop  # noqa: F401 # fixtures
from tests.cdc.mysql.conftest import mariadb, session_server  # noqa: F401 # fixtures
from tests.cdc.mysql.server import MariadbServer

WAIT_S = 30.0
SECRET = "keep-it-to-yourself"  # must not be seen again
PASSWORD = "${secret.PASSWORD}"

TRIGGERS: dict[str, tuple[type[TriggerAction], Mapping[str, Any]]] = {
    "schedule": (Schedule, {"every": "1s"}),
    "manual": (Manual, {}),
    "webhook": (
        Webhook,
        {"path": "/hook", "verify": {"scheme": "github", "secrets": [PASSWORD]}},
    ),
    "cdc postgresql": (
        CdcTrigger,
        {"url": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", "tables": ["public.a", "b"]},
    ),
    "cdc postgresql, patterns": (
        CdcTrigger,
        {"url": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", "tables": ["public.*"]},
    ),
    "cdc mariadb": (
        CdcTrigger,
        {"url": f"mariadb://u:{PASSWORD}@127.0.0.1:1", "tables": ["shop.a"]},
    ),
}


def placed(kind: type[TriggerAction], config: Mapping[str, Any]) -> TriggerAction:
    action = kind(kind.Config.model_validate(dict(config)))
    assert list(action.problems()) == []
    return action.placed("orders", "in")


@pytest.fixture(params=TRIGGERS)
def trigger(request: pytest.FixtureRequest) -> TriggerAction:
    return placed(*TRIGGERS[request.param])


def feed_of(trigger: TriggerAction) -> Feed:
    feed = trigger.feed()
    assert feed is not None
    return feed


def test_the_flow_reads_the_topic_whose_owner_feeds_it(trigger: TriggerAction) -> None:
    source, first = trigger.source(), feed_of(trigger).topics()[0].name

    is_read = first in source.topics
    if source.pattern is not None:
        is_read = re2.compile(source.pattern).fullmatch(first) is not None
    assert is_read


def test_every_topic_that_is_read_by_name_is_made(trigger: TriggerAction) -> None:
    made = {topic.name for topic in feed_of(trigger).topics()}

    assert set(trigger.source().topics) <= made


def test_topics_are_named_after_the_place_where_the_config_does_not_say(
    trigger: TriggerAction,
) -> None:
    elsewhere = type(trigger)(trigger.config).placed("other", "place")
    ours = {topic.name for topic in feed_of(trigger).topics()}

    assert ours.isdisjoint(topic.name for topic in feed_of(elsewhere).topics())


def test_settings_need_no_record_and_secrets_stay_out_of_plans(trigger: TriggerAction) -> None:
    settings = feed_of(trigger).settings()

    values = values_of(settings, lambda name: f"env {name}", lambda name: SECRET)
    assert {reads for one in settings.values() for reads in one.reads} <= {"env", "secret"}
    assert SECRET not in trigger.summary()
    assert values.keys() == settings.keys()


# ---- exclusive feeds that write


@dataclass
class Writing:
    """A feed with something to write. `go_on` makes the next records come; `identities` tells records apart."""

    feed: Exclusive
    broker: Broker
    topic: str
    settings: Mapping[str, Any]
    go_on: Callable[[], None]

    def records(self) -> list[Any]:
        admin, reader = self.broker.admin(), self.broker.reader("test", {})
        try:
            count = admin.topics()[self.topic]
            places = [TopicPartition(self.topic, number) for number in range(count)]
            ends = admin.offsets(places, "latest")
            reader.assign(dict.fromkeys(places, 0))
            found: list[Any] = []
            while any(reader.positions()[place] < ends[place] for place in places):
                values = [message.value() for message in reader.read(10_000, 0.5)]
                found += [orjson.loads(value) for value in values if value]
        finally:
            reader.close()
            admin.close()
        return found

    def identities(self) -> list[Any]:
        return [
            one["due_ms"] if "due_ms" in one else (one["op"], one["after"]["id"])
            for one in self.records()
        ]

    def until(self, count: int) -> list[Any]:
        """Wait until so many records are there, making more come."""
        clock = SystemClock()
        deadline_s = clock.monotonic_s() + WAIT_S
        while len(found := self.identities()) < count:
            assert clock.monotonic_s() < deadline_s, f"{len(found)} of {count} records"
            self.go_on()
            clock.sleep(0.1)
        return found


@pytest.fixture(params=["schedule", "postgresql", "mariadb"])
def writing(request: pytest.FixtureRequest) -> Writing:
    broker = MemoryBroker(clock=SystemClock())
    numbers = iter(range(1, 1_000))
    if request.param == "schedule":
        action = placed(Schedule, {"every": "1s"})
        made = _writing(action, broker, lambda: None)
    elif request.param == "postgresql":
        database: Database = request.getfixturevalue("shop")
        database.execute("create table items (id integer primary key)")
        action = placed(CdcTrigger, {**database.config(), "tables": ["public.items"]})
        made = _writing(
            action,
            broker,
            lambda: database.execute(f"insert into items values ({next(numbers)})") and None,
        )
    else:
        server: MariadbServer = request.getfixturevalue("mariadb")
        server.sql("CREATE TABLE shop.items (id integer primary key)")
        action = placed(CdcTrigger, {"url": server.url, "tables": ["shop.items"]})
        made = _writing(
            action,
            broker,
            lambda: server.sql(f"INSERT INTO shop.items VALUES ({next(numbers)})") and None,
        )
    return made


def _writing(action: TriggerAction, broker: Broker, go_on: Callable[[], Any]) -> Writing:
    feed = feed_of(action)
    assert isinstance(feed, Exclusive)
    topics = feed.topics()
    admin = broker.admin()
    admin.create(
        [
            NewTopic(name=one.name, partitions=one.partitions or 1, config=one.config)
            for one in topics
        ]
    )
    admin.close()
    settings = values_of(feed.settings(), lambda _: "", lambda _: "")
    return Writing(feed, broker, topics[0].name, settings, go_on)


class Run:
    """One run of a feed, in a thread."""

    def __init__(self, writing: Writing) -> None:
        self.statuses: list[FeedStatus] = []
        self.error: BaseException | None = None
        self.stopped = Event()
        self._place = FeedPlace(
            name="headrace.orders.in",
            flow="orders",
            stage="in",
            settings=writing.settings,
            broker=writing.broker,
            client={},
            clock=SystemClock(),
            stopped=self.stopped,
            report=self.statuses.append,
        )
        self._feed = writing.feed
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._feed.run(self._place)
        except BaseException as error:  # for the test to look at
            self.error = error

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


def test_a_feed_ends_when_it_is_asked_to_and_the_next_one_goes_on_behind_it(
    writing: Writing,
) -> None:
    first = Run(writing)
    writing.until(2)
    first.stop()
    before = writing.identities()
    second = Run(writing)
    after = writing.until(len(before) + 2)
    second.stop()

    assert (first.error, second.error) == (None, None)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)
    assert {status.state for status in first.statuses} >= {"running"}


def test_a_second_instance_fences_the_first_and_nothing_comes_twice(writing: Writing) -> None:
    first = Run(writing)
    writing.until(2)
    second = Run(writing)
    writing.until(len(writing.identities()) + 3)
    first.thread.join(WAIT_S)
    found = writing.identities()
    second.stop()
    first.stop()

    assert isinstance(first.error, FencedError)
    assert second.error is None
    assert len(set(found)) == len(found)
