"""Rebalances in the middle of a call: what a real broker does too seldom to be tested with.

The client is replaced by one that follows a script; each step is one of its `consume` calls.
"""

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Message
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
        self.on_close: Callable[[], object] = lambda: None

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
    def close(self) -> None:
        self.on_close()


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


def end(partition: TopicPartition, offset: int) -> list[Message]:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return [Message(*partition, offset=offset, error=error)]


def test_an_end_counts_until_a_record_from_behind_it_is_returned(scene: Scene) -> None:
    scene.call(("on_assign", ONE), ("on_assign", TWO))
    together = scene.call(records(ONE, 0, 1), end(ONE, 2), end(TWO, 0), records(TWO, 0))
    first = scene.member.caught_up()
    scene.call(records(ONE, 2), end(TWO, 5))

    assert together == [(0, 0), (0, 1), (1, 0)]
    assert first == {ONE}
    assert scene.member.caught_up() == {TWO}
    assert scene.member.consumer.positions() == {ONE: 3, TWO: 1}


def test_an_end_does_not_count_before_the_records_that_a_call_kept(scene: Scene) -> None:
    scene.call(("on_assign", ONE), ("on_assign", TWO))

    def fail() -> None:
        raise LookupError

    scene.member.on_revoked = fail
    with pytest.raises(LookupError):
        scene.call(records(TWO, 0, 1), end(TWO, 2), ("on_revoke", ONE))
    between = scene.member.caught_up()

    assert between == frozenset()
    assert scene.call() == [(1, 0), (1, 1)]
    assert scene.member.caught_up() == {TWO}


def test_an_end_from_before_a_partition_was_given_anew_does_not_count(scene: Scene) -> None:
    scene.call(("on_assign", ONE))
    scene.call(end(ONE, 7), ("on_lost", ONE), ("on_assign", ONE))

    assert scene.member.caught_up() == frozenset()
    assert scene.client.sought == {ONE: 0}


def test_records_collected_before_a_partition_was_paused_are_sought_again(scene: Scene) -> None:
    scene.member.on_assigned = lambda: scene.member.consumer.pause([ONE])

    assert scene.call(("on_assign", ONE), records(ONE, 0, 1)) == []
    assert scene.client.sought == {ONE: 0}
    assert scene.member.consumer.positions() == {ONE: 0}


def test_what_is_under_way_is_served_before_closing(scene: Scene) -> None:
    scene.call(("on_assign", ONE), ("on_assign", TWO))
    served_at_close: list[bool] = []

    def revoke() -> list[Message]:
        scene.client.tell("on_revoke", ONE)
        return records(TWO, 0)

    scene.client.script += [revoke, list]
    scene.client.on_close = lambda: served_at_close.append(not scene.client.script)
    scene.member.consumer.close()

    assert served_at_close == [True]
    assert scene.member.told("revoked") == [ONE, TWO]


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
