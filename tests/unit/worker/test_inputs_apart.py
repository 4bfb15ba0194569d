"""Several topics that are read without state, whose partitions of one number are with different workers."""

from datetime import timedelta

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.member import Member
from tests.unit.running import NOW_MS, Running, plans_of

TEXT = """
name: flow
stages:
  - {{name: in, action: kafka, config: {{{source}}}, out: sum}}
  - name: sum
    action: reduce
    config: {{key: event.k, window: {{tumbling: 10s}}, emit: final, aggregate: {{n: count()}}}}
    out: sink
  - {{name: sink, action: publish, config: {{topic: out}}}}
"""
BEGIN_MS = NOW_MS - NOW_MS % 10_000
COUNTS = {"in-a": 2, "in-b": 5, "in-c": 3}


def run_of(source: str) -> Running:
    clock = ManualClock(NOW_MS)
    broker = MemoryBroker(clock=clock)
    broker.admin().create([NewTopic(name=name, partitions=n) for name, n in COUNTS.items()])
    settings = WorkerSettings(engine="memory", create_topics=True, idle_after=timedelta(hours=1))
    plans = plans_of(TEXT.format(source=source))
    return Running(plans, settings=settings, clock=clock, broker=broker)


def work(run: Running, *members: Member, seconds: int = 6) -> None:
    for _ in range(seconds * 5):
        for member in members:
            member.step(0)
        run.clock.advance(0.2)


def feed(run: Running, at_ms: int) -> None:
    """A record in every partition."""
    for topic, count in COUNTS.items():
        for partition in range(count):
            run.feed({"k": "all"}, topic, partition=partition, timestamp=BEGIN_MS + at_ms)


@pytest.mark.parametrize("source", ["topics: [in-a, in-b, in-c]", "pattern: 'in-.'"])
def test_windows_see_all_partitions_whoever_reads_them(source: str) -> None:
    run = run_of(source)
    members = [run.joined(name) for name in ("one", "two", "three")]
    work(run, *members)
    apart = {one.partition for one in members[0].statistics.assignment}
    assert apart & {one.partition for one in members[1].statistics.assignment}

    feed(run, 1_000)
    work(run, *members)
    run.feed({"k": "all"}, "in-b", partition=4, timestamp=BEGIN_MS + 30_000)  # others are behind
    work(run, *members)
    early = run.data("out")
    feed(run, 12_000)
    members[0].close()
    work(run, *members[1:], seconds=60)  # its place is kept for a while
    feed(run, 40_000)
    work(run, *members[1:])

    assert early == []
    assert [(one["start"] - BEGIN_MS, one["n"]) for one in run.data("out")] == [
        (0, sum(COUNTS.values())),
        (10_000, sum(COUNTS.values())),
        (30_000, 1),
    ]
