"""Whatever goes wrong, every record leads to its results once (or at least once), in order."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import RestartError
from headrace.runtime.worker.member import Member
from tests.unit.running import Running, running

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: twice}
  - {name: twice, action: map, config: {each: "[event, -event]"}, out: far}
  - {name: far, action: map, link: topic, config: {value: "event"}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
PARTITIONS = 3

FAULTS = (
    "step",
    "tick",
    "feed",
    "commit",
    "delivery out",
    "delivery link",
    "fence",
    "lose member",
    "lose in",
    "lose link",
    "stop",
    "crash",
    "join",
    "leave",
)
Fault = tuple[str, int]
faults = st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 2)), max_size=40)


class World:
    """A group whose members come, go and meet with faults; a member that gives up is started again."""

    def __init__(self, processing: str) -> None:
        self.run: Running = running(FLOW, partitions=PARTITIONS, processing=processing)
        self.members: dict[str, Member] = {}
        self.count = 0
        self.start("a")

    def start(self, name: str) -> None:
        self.members[name] = self.run.joined(name)

    def step(self, number: int) -> None:
        names = sorted(self.members)
        name = names[number % len(names)]
        try:
            self.members[name].step(0)
        except RestartError:
            self.members[name].abandon()
            self.run.broker.start()
            self.start(name)

    def apply(self, fault: str, number: int) -> None:
        broker, names = self.run.broker, sorted(self.members)
        name = names[number % len(names)]
        links = "headrace.flow.far.link"
        does: dict[str, Callable[[], object]] = {
            "step": lambda: self.step(number),
            "tick": lambda: self.run.clock.advance(0.2),
            "feed": self.feed,
            "commit": broker.faults.fail_next_commit,
            "delivery out": lambda: broker.faults.fail_next_delivery("out"),
            "delivery link": lambda: broker.faults.fail_next_delivery(links),
            "fence": lambda: broker.faults.fence(f"headrace.flow.{name}"),
            "lose member": lambda: broker.faults.lose(f"headrace.flow.{name}"),
            "lose in": lambda: broker.faults.lose(TopicPartition("in", number)),
            "lose link": lambda: broker.faults.lose(TopicPartition(links, number)),
            "stop": broker.stop,
            "crash": lambda: self.start(name),
            "join": lambda: self.start("abc"[number]) if "abc"[number] not in names else None,
            "leave": lambda: self.leave(name) if len(names) > 1 else None,
        }
        does[fault]()

    def leave(self, name: str) -> None:
        self.run.broker.start()
        with suppress(RestartError):
            self.members.pop(name).close()

    def feed(self) -> None:
        self.run.broker.start()
        for _ in range(4):
            self.count += 1
            self.run.feed(self.count, partition=self.count % PARTITIONS)

    def finish(self) -> list[list[int]]:
        """Let everything settle; the output of each partition, without the negative twins."""
        self.run.broker.start()
        self.feed()
        self.run.clock.advance(60)  # sessions of crashed members end
        for _ in range(60):
            for number in range(len(self.members)):
                self.step(number)
            self.run.clock.advance(1)
        found = self.run.read("out")
        self.written = Counter(one.data for one in found)
        return [
            [one.data for one in found if one.partition == p and one.data > 0]
            for p in range(PARTITIONS)
        ]


def play(processing: str, events: list[Fault]) -> World:
    world = World(processing)
    world.feed()
    for fault, number in events:
        # Between two faults the broker is there, except while a member looks for it in vain.
        if fault not in ("step", "tick", "feed"):
            world.run.broker.start()
        world.apply(fault, number)
    return world


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults)
@example([("step", 0), ("delivery link", 0), ("step", 0), ("tick", 0), ("step", 0)])
@example([("step", 0), ("step", 0), ("tick", 0), ("fence", 0), ("step", 0), ("step", 0)])
@example([("step", 0), ("step", 0), ("lose in", 0), ("tick", 0), ("step", 0)])
@example([("step", 0), ("feed", 0), ("step", 0), ("stop", 0), ("tick", 0), ("step", 0)])
@example([("step", 0), ("join", 1), ("step", 1), ("step", 0), ("crash", 0), ("step", 0)])
def test_every_record_leads_to_its_results_exactly_once(events: list[Fault]) -> None:
    world = play("exactly_once", events)

    world.finish()

    wanted = Counter({sign * n: 1 for n in range(1, world.count + 1) for sign in (1, -1)})
    assert world.written == wanted


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults)
def test_at_least_once_loses_nothing(events: list[Fault]) -> None:
    world = play("at_least_once", events)

    world.finish()

    wanted = {sign * n for n in range(1, world.count + 1) for sign in (1, -1)}
    assert set(world.written) == wanted


@pytest.mark.parametrize("fault", [one for one in FAULTS if one not in ("join", "leave")])
def test_a_single_fault_in_the_middle_of_a_transaction_doubles_and_loses_nothing(
    fault: str,
) -> None:
    world = play("exactly_once", [("step", 0)] * 3 + [("feed", 0), ("step", 0), (fault, 0)])

    world.step(0)
    world.finish()

    assert set(world.written.values()) == {1}
    assert len(world.written) == 2 * world.count
