"""A capture that runs in a thread of the test, and what it writes."""

from collections.abc import Callable, Mapping
from threading import Condition, Event, Thread
from typing import Any, NamedTuple

import orjson

from headrace.connectors.cdc import CdcTrigger
from headrace.connectors.cdc.feed import NativeFeed
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Broker, NewTopic, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus

WAIT_S = 30.0


class Change(NamedTuple):
    """A record of a captured table; `value` None is a tombstone."""

    partition: int
    key: Any
    value: Any
    timestamp_ms: int
    headers: Mapping[str, bytes | None]

    @property
    def op(self) -> str:
        return "tombstone" if self.value is None else str(self.value["op"])


def place_of(
    feed: NativeFeed,
    broker: Broker,
    name: str,
    *,
    stopped: Event | None = None,
    report: Callable[[FeedStatus], None] = lambda _: None,
) -> FeedPlace:
    """Where a feed runs whose settings mention neither env nor secret."""
    return FeedPlace(
        name=name,
        flow="shop",
        stage="changes",
        settings={key: template.constant for key, template in feed.settings().items()},
        broker=broker,
        client={},
        clock=SystemClock(),
        stopped=stopped or Event(),
        report=report,
    )


def feed_of(config: Mapping[str, Any]) -> NativeFeed:
    trigger = CdcTrigger(CdcTrigger.Config.model_validate(config)).placed("shop", "changes")
    assert not list(trigger.problems())
    feed = trigger.feed()
    assert isinstance(feed, NativeFeed)
    return feed


def make_topics(feed: NativeFeed, broker: Broker) -> None:
    """What the worker does before it runs a feed."""
    admin = broker.admin()
    try:
        admin.create(
            [
                NewTopic(name=one.name, partitions=one.partitions or 1, config=one.config)
                for one in feed.topics()
            ]
        )
    finally:
        admin.close()


class Running:
    """Runs `NativeFeed.run` once; `error` is how it ended."""

    def __init__(self, config: Mapping[str, Any], broker: Broker, name: str) -> None:
        self.broker = broker
        self.feed = feed_of(config)
        self.statuses: list[FeedStatus] = []
        self.error: BaseException | None = None
        self._seen = 0
        self._changed = Condition()
        self._stopped = Event()
        self.place = place_of(self.feed, broker, name, stopped=self._stopped, report=self._report)
        make_topics(self.feed, broker)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _report(self, status: FeedStatus) -> None:
        with self._changed:
            self.statuses.append(status)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self.feed.run(self.place)
        except BaseException as error:  # for the test to look at
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def until(self, state: str, text: str = "") -> FeedStatus:
        """Wait for a status behind the last one that was waited for."""

        def found() -> int | None:
            for i in range(self._seen, len(self.statuses)):
                if self.statuses[i].state == state and text in self.statuses[i].text:
                    return i
            return None

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._has_ended(), WAIT_S)
            at = found()
            assert at is not None, f"{self.statuses[-3:]}, ended by {self.error!r}"
            self._seen = at + 1
            return self.statuses[at]

    def _has_ended(self) -> bool:
        return not self._thread.is_alive() or self.error is not None

    def until_failed(self) -> BaseException:
        """Wait until it has ended by an error."""
        self._thread.join(WAIT_S)
        assert self.error is not None, f"it goes on: {self.statuses[-3:]}"
        return self.error

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def changes(self, topic: str, count: int = 0) -> list[Change]:
        """The committed records of a topic, at least `count`."""
        return read_changes(self.broker, topic, count)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def read_changes(broker: Broker, topic: str, count: int = 0) -> list[Change]:
    """The committed records of a topic, in order per partition, read from the beginning until `count` are there."""
    clock = SystemClock()
    admin, reader = broker.admin(), broker.reader("test", {})
    try:
        deadline_s = clock.monotonic_s() + WAIT_S
        while not (count_there := admin.topics().get(topic, 0)):
            assert clock.monotonic_s() < deadline_s, f"there is no topic {topic}"
            clock.sleep(0.05)
        partitions = [TopicPartition(topic, i) for i in range(count_there)]
        reader.assign(dict.fromkeys(partitions, 0))
        found: list[Change] = []
        while True:
            found += [change_of(one) for one in reader.read(10_000, 0.2)]
            ends = admin.ends(partitions)
            positions = reader.positions()
            if all(positions[one] >= ends[one] for one in partitions) and len(found) >= count:
                return found
            assert clock.monotonic_s() < deadline_s, (
                f"{len(found)} of {count} records: {found[-3:]}"
            )
    finally:
        reader.close()
        admin.close()


def change_of(message: Any) -> Change:
    key, value = message.key(), message.value()
    return Change(
        message.partition(),
        _json(key),
        _json(value),
        message.timestamp()[1],
        dict(message.headers() or []),
    )


def _json(data: bytes | None) -> Any:
    try:
        return orjson.loads(data) if data is not None else None
    except ValueError:
        return data


def replayed(changes: list[Change]) -> dict[str, Any]:
    """The rows that the changes of a keyed table add up to, by their keys as text."""
    rows: dict[str, Any] = {}
    for change in changes:
        key = str(change.key)
        if change.op == "t":
            gone = {str(one.key) for one in changes if one.partition == change.partition}
            rows = {one: row for one, row in rows.items() if one not in gone}
        elif change.op in ("d", "tombstone"):
            rows.pop(key, None)
        else:
            rows[key] = change.value["after"]
    return rows
