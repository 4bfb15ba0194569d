"""What a member makes of replay topics that it cannot read, or not to their ends."""

from collections.abc import Iterable

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings
from headrace.runtime.errors import RestartError
from headrace.runtime.worker.replays import LOOK_EVERY_S
from tests.unit.running import Running, running

FLOW = """
name: flow
stages:
- {name: in, action: kafka, config: {topics: in}, out: sink}
- {name: sink, action: publish, config: {topic: out}}
"""
TOPIC = "headrace.flow.in.replay"


class TickingClock(ManualClock):
    """Goes on by itself, so that whoever waits for ever does not."""

    def monotonic_s(self) -> float:
        self.advance(0.001)
        return super().monotonic_s()


def test_a_command_that_hangs_in_its_transaction_holds_nobody_up() -> None:
    run = running(FLOW)
    clock = TickingClock(run.clock.now_ms())
    run = Running(run.plans, clock=clock, broker=MemoryBroker(clock=clock))
    run.broker.admin().create([NewTopic(name=TOPIC, partitions=1)])
    command = run.broker.producer(ProducerSettings(client_id="command", transactional_id="command"))
    command.init_transactions(1)
    command.begin_transaction()
    command.produce(TOPIC, b"{}", partition=0, headers=[("headrace-replay", b"sink")])
    command.flush(1)
    run.drain()
    clock.advance(LOOK_EVERY_S)
    before_s = clock.monotonic_s()

    run.member.step(0)

    assert clock.monotonic_s() - before_s < 0.5
    command.close()


def test_brokers_that_do_not_tell_of_a_topic_that_nobody_made_stop_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = running(FLOW)
    admin = type(run.broker.admin())
    describe = admin.describe

    def refuse(self: object, names: Iterable[str]) -> object:
        asked = list(names)
        if TOPIC in asked:
            raise RestartError(f"could not describe topic '{TOPIC}': authorization failed")
        return describe(self, asked)  # type: ignore[arg-type] # it is the administration client

    monkeypatch.setattr(admin, "describe", refuse)

    run.run({"a": 1})
    run.clock.advance(LOOK_EVERY_S)
    run.drain()

    assert run.data("out") == [{"a": 1}]
    assert sum("authorization failed" in line for line in caplog.messages) == 1
