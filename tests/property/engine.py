"""The engine in memory as properties drive it: records, cuts of batches, commits, and faults between them."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.flow import Flow
from headrace.runtime.state.layout import (
    ACCUMULATOR,
    ENTRY,
    META,
    TIMER,
    Changes,
    end_of,
    expand,
    region_of,
    store_number,
)
from headrace.runtime.task.records import encode_key
from headrace.runtime.testcases.driver import NOW_MS, Driver
from headrace.runtime.testcases.records import TestRecord

EXAMPLES: Final = int(os.environ.get("HEADRACE_TEST_EXAMPLES", "20"))
on_the_engine = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[one for one in Phase if one is not Phase.shrink],
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
"""An example makes brokers and workers, some 50 ms, so that shrinking a failure would take minutes."""

Cut = Literal["", "process", "commit", "fail", "refuse", "restart", "lose"]
CUTS: st.SearchStrategy[Cut] = st.sampled_from(
    ("", "", "", "process", "process", "commit", "fail", "refuse", "restart", "lose")
)
"""What happens behind a record: nothing (it shares a batch with the next), or see `Engine.cut`."""


class Send(NamedTuple):
    """A record, and what happens behind it."""

    topic: str
    value: Any
    time_ms: int = 0
    key: str | None = "a"
    partition: int = 0
    cut: Cut = ""


Step = Send | Literal["restart"] | int
"""A record, a restart with nothing left to do, or so many seconds on the wall clock."""
Key = str | bytes | None
Changelogs = dict[TopicPartition, dict[bytes, bytes]]


class Engine:
    """A flow with its worker and its topics. Topics that stages publish to are read as a whole."""

    def __init__(self, stages: Sequence[Mapping[str, Any]], topics: Mapping[str, int]) -> None:
        self.clock = ManualClock(NOW_MS)
        self._memory = MemoryBroker(clock=self.clock)
        flow = Flow.model_validate({"name": "flow", "stages": list(stages)})
        self.driver = Driver([flow], broker=self._memory, clock=self.clock, topics=topics)

    def play(self, steps: Iterable[Step], *, has_faults: bool = True) -> None:
        """Send records with what happens behind them, and commit at last."""
        for step in steps:
            if isinstance(step, int):
                self.driver.advance(step)
            elif step == "restart":
                self.driver.run()
                if has_faults:
                    self.driver.restart()
            else:
                self.send(step)
                self.cut(step.cut if has_faults else "", TopicPartition(step.topic, step.partition))
        self.driver.run()

    def send(self, step: Send) -> None:
        self.driver.send(
            step.topic,
            None if step.value is None else orjson.dumps(step.value),
            key=encode_key(step.key),
            timestamp=step.time_ms,
            partition=step.partition,
        )

    def cut(self, cut: Cut, partition: TopicPartition) -> None:
        """Process what was sent in a batch of its own, commit it, or let that go wrong."""
        if cut == "fail":
            self._memory.faults.fail_next_commit()
        elif cut == "refuse" and not self._memory._cluster.deliveries_to_fail.get("out"):
            self._memory.faults.fail_next_delivery("out")
        if cut in ("process", "restart", "lose"):
            self.driver.run(commit=False)
        if cut == "restart":
            self.driver.restart()
        elif cut == "lose":
            self._memory.faults.lose(partition)
        elif cut in ("commit", "fail", "refuse"):
            self.driver.run()

    # ---- what came of it

    def records(self, topic: str = "out") -> list[TestRecord]:
        """What was committed to a topic, by partition and offset."""
        found = self.driver.received(topic) if topic in self.driver.topics() else []
        return sorted(found, key=lambda one: (one.partition, one.offset))

    def by_key(self, topic: str = "out") -> dict[Key, list[tuple[Any, int]]]:
        """The values and event times of each key, in their order."""
        found = defaultdict[Key, list[tuple[Any, int]]](list)
        for record in self.records(topic):
            found[record.key].append((record.value, record.timestamp))
        return dict(found)

    def table(self, topic: str = "out") -> dict[Key, Any]:
        """The last value of each key; a tombstone of a key that has none fails."""
        rows: dict[Key, Any] = {}
        for record in self.records(topic):
            if record.value is None:
                assert record.key in rows, "a deletion of a result that was not there"
                del rows[record.key]
            else:
                rows[record.key] = record.value
        return rows

    def failed(self) -> list[str]:
        """The stages whose records failed."""
        return [letter.stage for letter in self.driver.dead_letters("flow")]

    # ---- state

    def changelogs(self) -> Changelogs:
        """What a replay of the committed changelogs gives, per partition."""
        names = {store.changelog for plan in self.driver.plans for store in plan.stores}
        counts = {name: n for name, n in self._memory.admin().topics().items() if name in names}
        found: Changelogs = {
            TopicPartition(name, i): {} for name, count in counts.items() for i in range(count)
        }
        reader = self._memory.reader("replay")
        reader.assign(dict.fromkeys(found, 0))
        while messages := reader.read(10_000, 0.0):
            for message in messages:
                entries = found[TopicPartition(message.topic(), message.partition())]
                key, value = message.key(), message.value()
                assert key is not None
                if value is None:
                    entries.pop(key, None)
                else:
                    entries[key] = value
        reader.close()
        return found

    def check_stores(self) -> Changelogs:
        """Assert that the store has what the changelogs have, with all that is derived from it; returns that."""
        replayed = self.changelogs()
        (member,) = self.driver._members
        tasks, store = member._session.tasks, member.store
        assert tasks is not None
        assert store is not None
        tasks.commit.flush()
        for partition, entries in replayed.items():
            region = region_of(store_number(store, partition.topic), partition.partition)
            stored = {k[len(region) :]: v for k, v in store.range(region, end_of(region))}
            kept = {k: v for k, v in stored.items() if k[:1] in (ENTRY, ACCUMULATOR, TIMER, META)}
            assert kept == entries, partition
            changes = Changes([], [])
            for key, value in entries.items():
                expand(region, key, value, changes)
            derived = {key[len(region) :] for key, _ in changes.puts} - kept.keys()
            assert derived <= stored.keys(), partition
        return replayed

    def left(self) -> dict[str, int]:
        """How many entries and timers the store still has, by changelog."""
        found = {
            partition: sum(key[:1] in (ENTRY, ACCUMULATOR, TIMER) for key in entries)
            for partition, entries in self.check_stores().items()
        }
        return {str(partition): count for partition, count in found.items() if count}

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.close()


def trigger(name: str, out: str | list[str], topics: str = "") -> dict[str, Any]:
    """A stage that reads a topic, by default of its own name."""
    return {"name": name, "action": "kafka", "config": {"topics": topics or name}, "out": out}


def sides(*names: str) -> Iterator[dict[str, Any]]:
    """A topic `in` with records of several sides, so that their order is that in which they were sent: one stage per side."""
    yield trigger("in", list(names))
    for name in names:
        where = f"event.side == '{name}'"
        yield {"name": name, "action": "filter", "config": {"where": where}, "out": "it"}


def stage(action: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stage `it`, and one that publishes to `out` what it sends on."""
    return [
        {"name": "it", "action": action, "config": dict(config), "out": "sink"},
        {"name": "sink", "action": "publish", "config": {"topic": "out"}},
    ]
