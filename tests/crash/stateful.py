"""A group of flows with state that workers can be killed under, and what a naive computation makes of the same records."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Producer

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.errors import HeadraceError
from headrace.runtime.worker.slots import _machine
from tests.crash.reading import Found, read_committed
from tests.crash.stores import changelogs, check_equal, check_restorable, regions, settle
from tests.crash.workers import WAIT_S, Workers

VICTIM = "victim"
"""The instance id of a worker that is killed and comes again as the same member."""

PARTITIONS = 4
USERS = 40
REGIONS = ("north", "south", "east", "west", "sea")
STEP_MS = 200
MINUTE_MS = 60_000
GRACE_MS = 10_000
DISORDER_MS = 8_000
LATE_MS = 300_000
WITHIN_MS = 600_000
BAD_EVERY = 97
LATE_EVERY = 53

FLOWS = """
name: {name}
group: {name}
stages:
  - name: in
    action: kafka
    config: {{topics: {name}-in}}
    out: good
  - name: good
    action: filter
    config: {{where: event.n >= 0 and event.n % 3 != 0}}
    out: [per_minute, in_time, once, quiet, later]
  - name: per_minute
    action: reduce
    config:
      window: {{tumbling: 1m}}
      grace: 10s
      aggregate: {{count: count(), total: sum(event.n)}}
      emit: updates
      late: {{topic: {name}-late}}
    out: updates
  - {{name: updates, action: publish, config: {{topic: {name}-updates}}}}
  - {{name: in_time, action: filter, config: {{where: not event.late}}, out: by_region}}
  - name: by_region
    action: reduce
    config:
      key: event.region
      window: {{tumbling: 1m}}
      grace: 10s
      aggregate: {{count: count(), total: sum(event.n)}}
      emit: final
    out: finals
  - {{name: finals, action: publish, config: {{topic: {name}-finals}}}}
  - {{name: once, action: dedupe, config: {{by: event.id, within: 10m}}, out: first}}
  - {{name: first, action: publish, config: {{topic: {name}-once}}}}
  - name: quiet
    action: debounce
    config: {{wait: 100ms, max_wait: 300ms, keep: collect}}
    out: collected
  - {{name: collected, action: publish, config: {{topic: {name}-quiet}}}}
  - {{name: later, action: delay, config: {{wait: 30s, clock: event}}, out: delayed}}
  - {{name: delayed, action: publish, config: {{topic: {name}-later}}}}
---
name: {name}-named
group: {name}
stages:
  - name: in
    action: kafka
    config: {{topics: {name}-in}}
    out: good
  - {{name: good, action: filter, config: {{where: event.n >= 0 and event.n % 3 != 0}}, out: named}}
  - {{name: named, action: hydrate, config: {{table: {name}-people, into: person}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-named}}}}
"""
OUTPUTS = ("updates", "finals", "late", "once", "quiet", "later", "named")


class Record(NamedTuple):
    """What is sent for a number; the same whoever asks."""

    n: int
    user: str
    partition: int
    timestamp_ms: int
    is_bad: bool
    event: dict[str, Any]


def record_of(n: int, begin_ms: int) -> Record:
    """Some records are no JSON, some come minutes late, and all are a little out of order."""
    user = n % USERS
    is_bad, is_late = n % BAD_EVERY == 5, n % LATE_EVERY == 7
    timestamp_ms = begin_ms + n * STEP_MS - n * 7_919 % DISORDER_MS
    if is_bad or is_late:
        timestamp_ms -= LATE_MS
    event = {
        "n": n,
        "late": is_late,
        "region": REGIONS[n * 31 % 17 % len(REGIONS)],
        "id": n // USERS // 2,  # two records of each user have the same
    }
    return Record(n, f"user-{user}", user % PARTITIONS, timestamp_ms, is_bad, event)


class Model:
    """What must come out of the records 0 to `sent`, computed one by one."""

    def __init__(self, sent: int, begin_ms: int) -> None:
        self.bad: set[int] = set()
        self.good: set[int] = set()
        self.late: set[int] = set()
        self.once: set[int] = set()
        self.minutes: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self.regions: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        watermarks = [-1] * PARTITIONS
        seen: dict[tuple[str, int], int] = {}
        for n in range(sent):
            one = record_of(n, begin_ms)
            watermarks[one.partition] = max(watermarks[one.partition], one.timestamp_ms)
            if one.is_bad:
                self.bad.add(n)
            elif n % 3:
                self.good.add(n)
                self._reduce(one, watermarks[one.partition])
                self._dedupe(one, seen)

    def _reduce(self, one: Record, watermark_ms: int) -> None:
        start = one.timestamp_ms // MINUTE_MS * MINUTE_MS
        windows = [(self.minutes, one.user), (self.regions, one.event["region"])]
        if start + MINUTE_MS + GRACE_MS <= watermark_ms:
            self.late.add(one.n)
            windows.pop(0)
        if one.event["late"]:
            windows.pop()
        for results, key in windows:
            results[key, start][0] += 1
            results[key, start][1] += one.n

    def _dedupe(self, one: Record, seen: dict[tuple[str, int], int]) -> None:
        identity = (one.user, one.event["id"])
        before = seen.get(identity)
        if before is None or abs(one.timestamp_ms - before) >= WITHIN_MS:
            self.once.add(one.n)
            seen[identity] = max(before or 0, one.timestamp_ms)


class Stateful(Workers):
    """Two flows of one group with every kind of state; `feed` produces to them until `end_feed`."""

    def __init__(self, brokers: str, folder: Path, **settings: Any) -> None:
        self.brokers = brokers
        self.name = f"state-{uuid.uuid4().hex[:8]}"
        self.group = f"headrace.{self.name}"
        self.state_dir = folder / f"{self.name}-state"
        flows = folder / f"{self.name}.yaml"
        flows.write_text(FLOWS.format(name=self.name))
        super().__init__(
            flows,
            folder,
            {
                "brokers": brokers,
                "state_dir": str(self.state_dir),
                "commit_interval": "50ms",
                "session_timeout": "6s",
                "group_protocol": "classic",
                **settings,
            },
        )
        self.sent = 0
        self.begin_ms = int(time.time()) // 86_400 * 86_400_000 - 86_400_000
        self._fed = Event()
        self._feeder: Thread | None = None
        names = ("in", "people", *OUTPUTS)
        admin = KafkaBroker(brokers).admin()
        admin.create([NewTopic(name=self.topic(name), partitions=PARTITIONS) for name in names])
        admin.close()
        self._fill_table()

    def topic(self, name: str) -> str:
        return f"{self.name}-{name}"

    # ---- records

    def _producer(self) -> Producer:
        return Producer(
            {"bootstrap.servers": self.brokers, "enable.idempotence": True, "linger.ms": 5}
        )

    def _fill_table(self) -> None:
        producer = self._producer()
        for user in range(USERS):
            row = orjson.dumps({"name": f"name-{user}"})
            producer.produce(
                self.topic("people"),
                row,
                f"user-{user}",
                user % PARTITIONS,
                timestamp=self.begin_ms - LATE_MS,
            )
        assert producer.flush(60) == 0

    def feed(self, per_second: int) -> None:
        """Produce in the background, until `end_feed`."""
        self._feeder = Thread(target=self._feed, args=(per_second,), daemon=True)
        self._feeder.start()

    def _feed(self, per_second: int) -> None:
        producer = self._producer()
        while not self._fed.is_set():
            self.valve.passed(producer)
            self._send(producer, max(1, per_second // 50))
            producer.poll(0)
            self._fed.wait(0.02)
        assert producer.flush(60) == 0

    def _send(self, producer: Producer, count: int) -> None:
        for n in range(self.sent, self.sent + count):
            one = record_of(n, self.begin_ms)
            value = b"{not json %d" % n if one.is_bad else orjson.dumps(one.event)
            producer.produce(
                self.topic("in"), value, one.user, one.partition, timestamp=one.timestamp_ms
            )
        self.sent += count

    def send_backlog(self, count: int) -> None:
        """Produce so many records at once, one partition after the other, and the end of event time."""
        producer = self._producer()
        first = self.sent
        for partition in range(PARTITIONS):
            for n in range(first, first + count):
                one = record_of(n, self.begin_ms)
                if one.partition != partition:
                    continue
                value = b"{not json %d" % n if one.is_bad else orjson.dumps(one.event)
                topic, at_ms = self.topic("in"), one.timestamp_ms
                producer.produce(topic, value, one.user, partition, timestamp=at_ms)
                producer.poll(0)
        self.sent += count
        self._close_windows(producer)

    def end_feed(self) -> None:
        """Produce no more than what closes all windows, and wait until all of it has arrived."""
        assert self._feeder
        self._fed.set()
        self._feeder.join(WAIT_S)
        assert not self._feeder.is_alive()
        self._close_windows(self._producer())

    def _close_windows(self, producer: Producer) -> None:
        at_ms = self.begin_ms + self.sent * STEP_MS + 3_600_000
        for partition in range(PARTITIONS):
            value = orjson.dumps({"n": -1, "late": False})
            producer.produce(self.topic("in"), value, "end", partition, timestamp=at_ms)
        assert producer.flush(60) == 0

    def clean_up(self) -> None:
        """End what still runs."""
        self._fed.set()
        super().clean_up()
        if self._feeder:
            self._feeder.join(WAIT_S)

    # ---- progress

    def committed(self) -> dict[int, int]:
        """The group's positions in the source topic."""
        admin = KafkaBroker(self.brokers).admin()
        try:
            found = admin.group_positions(self.group)
        finally:
            admin.close()
        places = [TopicPartition(self.topic("in"), partition) for partition in range(PARTITIONS)]
        return {place.partition: found.get(place, 0) for place in places}

    def wait_progress(self, partitions: str = "any") -> None:
        """Wait until the positions of any, or of all, partitions have moved on."""
        meets = all if partitions == "all" else any
        deadline = time.monotonic() + WAIT_S
        before: dict[int, int] | None = None
        while time.monotonic() < deadline:
            with suppress(HeadraceError):
                now = self.committed()
                before = now if before is None else before
                if meets(now[one] > before[one] for one in now):
                    return
            time.sleep(0.1)
        raise AssertionError(f"no progress within {WAIT_S} s: {before}")

    # ---- stores

    def stores(self) -> dict[str, Path]:
        """Where workers keep their state, by the names under which they write."""
        folders = (self.state_dir / self.group).glob("*/store")
        machine = _machine(self.state_dir)
        return {folder.parent.name.replace("slot", machine): folder for folder in sorted(folders)}

    def check_restorable(self) -> None:
        """With all workers dead: whatever a kill has left, the next worker makes all of it from."""
        stores = self.stores()
        assert stores
        settle(self.brokers, self.group, *stores)
        logs = changelogs(self.brokers, self.group)
        for folder in stores.values():
            check_restorable(regions(folder), logs)

    def check_equal(self) -> None:
        """With the only worker stopped: its store equals the changelogs."""
        (folder,) = self.stores().values()
        check_equal(regions(folder), changelogs(self.brokers, self.group))

    # ---- results

    def wait_done(self, timeout_s: float = WAIT_S) -> None:
        """Wait until what came out is what must, record by record; say what is wrong when it is not in time."""
        model = Model(self.sent, self.begin_ms)
        bad = [f"headrace.{name}.dead-letters" for name in (self.name, f"{self.name}-named")]
        topics = [*map(self.topic, OUTPUTS), *bad]
        found: dict[str, list[Found]] = {topic: [] for topic in topics}
        deadline = time.monotonic() + timeout_s
        for one in read_committed(self.brokers, topics):
            if one is not None:
                found[one.topic].append(one)
                continue
            named = {name: found[self.topic(name)] for name in OUTPUTS}
            wrong = list(self._wrong(named, [found[topic] for topic in bad], model))
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(wrong))

    def _wrong(
        self, found: dict[str, list[Found]], bad: list[list[Found]], model: Model
    ) -> Iterator[str]:
        yield from updates_wrong(found["updates"], model.minutes)
        yield from finals_wrong(found["finals"], model.regions)
        for name, expected in (
            ("late", model.late),
            ("once", model.once),
            ("later", model.good),
            ("named", model.good),
        ):
            yield from numbers_wrong(name, [one.event["n"] for one in found[name]], expected)
        items = [item["n"] for one in found["quiet"] for item in one.event["items"]]
        yield from numbers_wrong("quiet", items, model.good)
        for letters in bad:
            numbers = [int(one.value.rpartition(b" ")[2]) for one in letters]
            yield from numbers_wrong("dead letters", numbers, model.bad)
        yield from rows_wrong(found["named"])


def numbers_wrong(name: str, numbers: list[int], expected: set[int]) -> Iterator[str]:
    """Whether these are the numbers that were expected, each once."""
    found = set(numbers)
    lost, foreign = sorted(expected - found), sorted(found - expected)
    if lost:
        yield f"{name}: {len(lost)} of {len(expected)} lost: {lost[:10]}"
    if foreign:
        yield f"{name}: {len(foreign)} too many: {foreign[:10]}"
    if len(found) < len(numbers):
        doubled = sorted(n for n in found if numbers.count(n) > 1)
        yield f"{name}: {len(numbers) - len(found)} doubled: {doubled[:10]}"


def updates_wrong(found: list[Found], expected: dict[tuple[str, int], list[int]]) -> Iterator[str]:
    """Whether counts only grow, and the last ones are those that were expected."""
    last: dict[tuple[str, int], list[int]] = {}
    for one in found:
        event = one.event
        place = (event["key"], event["start"])
        if last.get(place, [0])[0] >= event["count"]:
            yield f"updates: {place} went from {last[place]} to {event}, {one.place}"
        last[place] = [event["count"], event["total"]]
    yield from _results_wrong("updates", last, expected)


def finals_wrong(found: list[Found], expected: dict[tuple[str, int], list[int]]) -> Iterator[str]:
    """Whether each window has one result, the expected one."""
    results: dict[tuple[str, int], list[int]] = {}
    for one in found:
        event = one.event
        place = (event["key"], event["start"])
        if place in results:
            yield f"finals: {place} has {results[place]} and {event}, {one.place}"
        results[place] = [event["count"], event["total"]]
    yield from _results_wrong("finals", results, expected)


def _results_wrong(
    name: str,
    found: dict[tuple[str, int], list[int]],
    expected: dict[tuple[str, int], list[int]],
) -> Iterator[str]:
    for place in sorted(expected.keys() | found.keys()):
        if found.get(place) != expected.get(place):
            yield f"{name}: {place} is {found.get(place)}, and must be {expected.get(place)}"


def rows_wrong(found: list[Found]) -> Iterator[str]:
    """Whether everybody has the right row, from the first time on that there was one."""
    has_row: set[str] = set()
    for one in found:
        user, row = one.key.decode(), one.event["person"]
        if row is None and user in has_row:
            yield f"named: {user} has lost its row, {one.place}"
        if row is not None:
            has_row.add(user)
            if row != {"name": f"name-{user.removeprefix('user-')}"}:
                yield f"named: {user} has another's row {row}, {one.place}"
    if len(has_row) < USERS:
        yield f"named: only {len(has_row)} of {USERS} have ever had a row"
