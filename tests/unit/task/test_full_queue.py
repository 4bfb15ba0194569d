"""A producer whose queue is full."""

from itertools import count
from typing import Any

import pytest

from headrace.connectors.memory.producer import MemoryProducer
from tests.unit.running import running


def test_a_full_queue_neither_doubles_nor_drops_nor_reorders_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    produce, calls = MemoryProducer.produce, count()

    def often_full(self: MemoryProducer, topic: str, *given: Any, **named: Any) -> None:
        if topic != "in" and next(calls) % 3:
            raise BufferError
        produce(self, topic, *given, **named)

    monkeypatch.setattr(MemoryProducer, "produce", often_full)
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: check}
          - {name: check, action: filter, config: {where: event.a > 0}, out: sink}
          - {name: sink, action: publish, config: {topic: out}}
        """)

    run.run(*[{"a": n} if n % 4 else {} for n in range(1, 30)])

    assert [one["a"] for one in run.data("out")] == [n for n in range(1, 30) if n % 4]
    assert len(run.dead_letters) == 7
    assert run.member.statistics.written == {("flow", "sink"): 22}
