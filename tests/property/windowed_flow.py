"""Flows with windows on the engine in memory: what is sent to them, what goes wrong meanwhile, and what comes out."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.flow import parse_flows
from headrace.runtime.task import fold_stage
from headrace.runtime.worker import batch_size, tasks
from headrace.testing import FlowTest, TestRecord
from tests.property.models.windows import Record

BEGIN_MS = 1_000_003
END_MS = 5_000_000
"""When everything is closed."""
ENDING = "ending"
"""The key of the records that close everything."""

CUTS = ("", "", "", "run", "run", "work", "fail", "restart", "lose", "fence")
"""What may happen between two records; most often nothing, so that they are read together."""


class Step(NamedTuple):
    """A record, so much later or earlier than the one before in its partition, and what happens when it was sent."""

    partition: int
    ms: int
    key: str | None
    is_tombstone: bool
    cut: str


class Arrival(NamedTuple):
    """A record as it was sent; its partition's watermark has it in it."""

    partition: int
    key: str | None
    time: int
    number: int
    watermark: int
    is_tombstone: bool
    cut: str

    @property
    def is_good(self) -> bool:
        return self.key is not None and not self.is_tombstone

    @property
    def record(self) -> Record:
        return Record(self.time, self.number, self.watermark)


MS = st.one_of(st.just(0), st.integers(0, 5), st.integers(-15, 15), st.integers(0, 80))


def steps(
    partitions: int,
    *,
    cuts: Sequence[str] = CUTS,
    ms: st.SearchStrategy[int] = MS,
    size: int = 40,
    keys: Sequence[str | None] = ("a", "a", "b", None),
    tombstones: bool = True,
) -> st.SearchStrategy[list[Step]]:
    """Records of several partitions in any order, with faults between them."""
    one = st.builds(
        Step,
        partition=st.integers(0, partitions - 1),
        ms=ms,
        key=st.sampled_from(keys),
        is_tombstone=st.integers(0, 9).map(lambda n: tombstones and n == 9),
        cut=st.sampled_from(cuts),
    )
    return st.lists(one, max_size=size)


def arrivals(given: Iterable[Step], *, disorder: int | None = None) -> list[Arrival]:
    """What is sent. With `disorder`, no record is further behind its partition's watermark than that."""
    times: dict[int, int] = defaultdict(lambda: BEGIN_MS)
    highs: dict[int, int] = {}
    found = []
    for number, step in enumerate(given):
        time = max(times[step.partition] + step.ms, 1)
        if disorder is not None:
            time = max(time, highs.get(step.partition, 0) - disorder)
        times[step.partition] = time
        highs[step.partition] = max(highs.get(step.partition, 0), time)
        watermark = highs[step.partition]
        found.append(
            Arrival(step.partition, step.key, time, number, watermark, step.is_tombstone, step.cut)
        )
    return found


def document(*stages: Mapping[str, Any]) -> str:
    """A flow from topic `in` to topic `out`; each stage sends to the next one unless it says otherwise."""
    whole: list[dict[str, Any]] = [
        {"name": "in", "action": "kafka", "config": {"topics": "in"}},
        *map(dict, stages),
        {"name": "sink", "action": "publish", "config": {"topic": "out"}},
    ]
    for stage, following in pairwise(whole):
        stage.setdefault("out", following["name"])
    return json.dumps({"name": "flow", "stages": whole})


@contextmanager
def small_batches(records: int, results: int) -> Iterator[None]:
    """Let the engine read so many records at once, and send so many results of closed windows at once."""
    with ExitStack() as stack:
        for module, name, value in (
            (batch_size, "RECORDS_FIRST", records),
            (batch_size, "RECORDS_MAX", records),
            (fold_stage, "FIRE_MAX", results),
            (tasks, "WORK_MAX", results),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


class WindowedFlow:
    """A flow under test; `out` and `late` hold what was received so far, in order. `values` are the records' own `v`."""

    def __init__(self, flow: str, partitions: int, *, values: Sequence[int | None] = ()) -> None:
        self.values = values
        self.test = FlowTest(
            parse_flows(flow), topics={"in": partitions, "out": 1, "late": 1, "notes": 1}
        )
        self.partitions = partitions
        self.out: list[TestRecord] = []
        self.late: list[TestRecord] = []

    def __enter__(self) -> "WindowedFlow":
        self.test.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        self.test.__exit__(*about)

    def send(self, one: Arrival, key: str | None) -> None:
        value = None if one.is_tombstone else {"n": one.number, "u": one.key}
        if value is not None and self.values:
            value["v"] = self.values[one.number]
        self.test.send("in", value, key=key, timestamp=one.time, partition=one.partition)

    def cut(self, what: str, partition: int) -> None:
        """Commit, or go on without; or let something go wrong, after some more work."""
        test = self.test
        match what:
            case "run":
                test.run()
            case "work":
                test.run(commit=False)
            case "fail":
                test.faults.fail_next_commit()
                test.run()
            case "restart":
                test.restart()
            case "lose":
                test.run(commit=False)
                test.faults.lose(TopicPartition("in", partition))
            case "fence":
                test.run(commit=False)
                test.faults.fence("headrace.flow.test")
                test.run()
            case "wait":
                test.advance("11s")
            case "tick":
                test.advance("2s")
            case "":
                pass
            case _:
                raise AssertionError(what)

    def play(self, sent: Iterable[Arrival], *, own_keys: bool = True) -> None:
        """Send records; with `own_keys` the key of a record holds its partition, so that a key is in one only."""
        for one in sent:
            key = f"{one.partition}{one.key}" if own_keys and one.key is not None else one.key
            self.send(one, key)
            self.cut(one.cut, one.partition)
        self.test.run()

    def end(self, partitions: Iterable[int] | None = None, *, at_ms: int = END_MS) -> None:
        """Close everything by a record in each partition, or in these."""
        for partition in range(self.partitions) if partitions is None else partitions:
            value = {"n": -1, "u": ENDING, "v": 0}
            self.test.send("in", value, key=ENDING, timestamp=at_ms, partition=partition)
        self.test.run()

    def receive(self) -> None:
        self.out += [one for one in self.test.received("out") if ENDING not in str(one.key)]
        if "late" in self.test.topics:
            self.late += self.test.received("late")

    def events(self) -> dict[str, list[dict[str, Any]]]:
        """The results received so far by key, in order."""
        self.receive()
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in self.out:
            found[one.value["key"]].append({**one.value, "": one.timestamp})
        return dict(found)

    def late_numbers(self) -> list[int]:
        self.receive()
        return sorted(one.value["n"] for one in self.late if one.value is not None)

    def failed_or_late(self) -> int:
        """Dead letters, and tombstones that came too late, which are not looked into."""
        self.receive()
        tombstones = sum(one.value is None for one in self.late)
        return tombstones + len(self.test.dead_letters())

    def counted_late(self) -> int:
        """Late records that the member counted since it began."""
        return sum(
            count
            for member in self.test._driver._members
            for count in member.statistics.late.values()
        )


def by_key(sent: Iterable[Arrival]) -> dict[str, list[Arrival]]:
    """The records that can be grouped, per partition and key."""
    found: dict[str, list[Arrival]] = defaultdict(list)
    for one in sent:
        if one.is_good:
            found[f"{one.partition}{one.key}"].append(one)
    return dict(found)


def bad_ones(sent: Iterable[Arrival]) -> int:
    """How many records fail."""
    return sum(not one.is_good for one in sent)
