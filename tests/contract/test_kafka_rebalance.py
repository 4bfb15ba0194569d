"""Rebalances in the middle of a call: what a real broker does too seldom to be tested with.

The client is replaced by one that follows a script; each step is one of its `consume` calls.
"""

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Message
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.kafka import consumer as consumer_module
from headrace.runtime.contracts.broker import ConsumerSettings, TopicPartition
from tests.contract.world import Member

ONE, TWO = TopicPartition("topic", 0), TopicPartition("topic", 1)
Call = Callable[[], list[Message]]


class ScriptedClient:
    """Stands in for the client: a rebalance happens while a call has collected records already."""

    def __init__(self, _: dict[str, Any]) -> None:
        self.script: deque[Call] = deque()
        self.sought: dict[TopicPartition, int] = {}

    def subscribe(self, _: list[str], **listeners: Any) -> None:
        self.listeners = listeners

    def consume(self, *_: object) -> list[Message]:
        return self.script.popleft()() if self.script else []

    def tell(self, what: str, *partitions: TopicPartition) -> None:
        self.listeners[what](self, [ClientPartition(*one) for one in partitions])

    def committed(self, partitions: list[ClientPartition], **_: object) -> list[ClientPartition]:
        return partitions

    def list_topics(self, **_: object) -> object:
        return SimpleNamespace(topics={"topic": None})

    def seek(self, target: ClientPartition) -> None:
        self.sought[TopicPartition(target.topic, target.partition)] = target.offset

    def pause(self, _: list[ClientPartition]) -> None: ...
    def resume(self, _: list[ClientPartition]) -> None: ...
    def incremental_assign(self, _: list[ClientPartition]) -> None: ...
    def incremental_unassign(self, _: list[ClientPartition]) -> None: ...
    def close(self) -> None: ...


class Scene:
    """A member whose client follows a script."""

    def __init__(self) -> None:
        settings = ConsumerSettings(group="group", client_id="member")
        consumer = KafkaBroker("nobody:9092").consumer(settings)
        self.client = cast("ScriptedClient", consumer._client)
        self.member = Member(consumer, ["topic"])

    def call(self, *steps: list[Message] | tuple[str, TopicPartition]) -> list[tuple[int, int]]:
        """One call that collects records and is told of rebalances, in this order."""

        def consume() -> list[Message]:
            collected: list[Message] = []
            for step in steps:
                if isinstance(step, list):
                    collected += step
                else:
                    self.client.tell(*step)
            return collected

        self.client.script.append(consume)
        return [(one.partition(), one.offset()) for one in self.member.step()]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(consumer_module, "Consumer", ScriptedClient)
    return Scene()


def records(partition: TopicPartition, *offsets: int) -> list[Message]:
    return [
        Message(topic=partition.topic, partition=partition.partition, offset=offset, value=b"")
        for offset in offsets
    ]


def test_records_of_a_partition_that_went_away_meanwhile_are_dropped(scene: Scene) -> None:
    scene.call(("on_assign", ONE), ("on_assign", TWO))

    assert scene.call(records(ONE, 0, 1), records(TWO, 0), ("on_revoke", ONE)) == [(1, 0)]
    assert scene.member.consumer.positions() == {TWO: 1}


def test_records_collected_meanwhile_are_not_in_the_positions_told(scene: Scene) -> None:
    scene.call(("on_assign", ONE))
    scene.call(records(ONE, 0, 1))
    told: list[dict[TopicPartition, int]] = []
    scene.member.on_revoked = lambda: told.append(scene.member.consumer.positions())
    scene.call(records(ONE, 2, 3), ("on_revoke", ONE))

    assert told == [{ONE: 2}]


def test_a_partition_taken_away_and_given_back_begins_where_it_was_given(scene: Scene) -> None:
    scene.call(("on_assign", ONE))
    scene.call(records(ONE, 0, 1))
    returned = scene.call(records(ONE, 2, 3), ("on_lost", ONE), ("on_assign", ONE))

    assert returned == []
    assert scene.client.sought == {ONE: 0}


def test_records_that_the_client_fetches_again_for_a_rebalance_are_dropped(scene: Scene) -> None:
    scene.call(("on_assign", ONE))
    scene.call(records(ONE, 0, 1, 2))

    assert scene.call(("on_assign", TWO), records(ONE, 1, 2)) == []
    assert scene.call(records(ONE, 2, 3), records(TWO, 0)) == [(0, 3), (1, 0)]
    assert scene.member.consumer.positions() == {ONE: 4, TWO: 1}


def test_going_back_by_a_seek_is_not_taken_for_a_second_fetch(scene: Scene) -> None:
    scene.call(("on_assign", ONE))
    scene.call(records(ONE, 0, 1, 2))
    scene.call(("on_assign", TWO))
    scene.member.consumer.seek({ONE: 1})

    assert scene.call(records(ONE, 1, 2)) == [(0, 1), (0, 2)]


def test_an_exception_of_the_listener_keeps_what_the_call_collected(scene: Scene) -> None:
    scene.call(("on_assign", ONE), ("on_assign", TWO))

    def fail() -> None:
        raise LookupError

    scene.member.on_revoked = fail
    with pytest.raises(LookupError):
        scene.call(records(ONE, 0), records(TWO, 0, 1), ("on_revoke", ONE))
    between = scene.member.consumer.positions()

    assert between == {}
    assert scene.call() == [(1, 0), (1, 1)]
    assert scene.member.consumer.positions() == {TWO: 2}
