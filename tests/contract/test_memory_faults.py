"""The memory broker's faults by name, and what it does when it is stopped."""

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.connectors.memory.assignment import assign
from headrace.runtime.clock import ManualClock, SystemClock
from headrace.runtime.contracts.broker import Reaction, TopicPartition
from headrace.runtime.errors import BrokerUnavailableError, FencedError, TransactionError
from tests.contract.world import World, numbered

TIMEOUT_S = 1.0


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker("memory", {"anything": "is ignored"}, clock=ManualClock())


@pytest.fixture
def world(broker: MemoryBroker) -> World:
    return World(broker, broker.clock)


def test_the_next_commit_can_be_made_to_fail(broker: MemoryBroker, world: World) -> None:
    topic = world.topic()
    producer = world.producer("one")
    producer.begin_transaction()
    producer.produce(topic, b"aborted")
    broker.faults.fail_next_commit()
    with pytest.raises(TransactionError, match="one"):
        producer.commit_transaction(TIMEOUT_S)
    producer.abort_transaction(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.commit_transaction(TIMEOUT_S)

    assert [one.value() for one in world.read(topic, 1)] == [b"committed"]


def test_a_failed_commit_cannot_be_tried_again(broker: MemoryBroker, world: World) -> None:
    producer = world.producer("one")
    producer.begin_transaction()
    broker.faults.fail_next_commit()
    with pytest.raises(TransactionError):
        producer.commit_transaction(TIMEOUT_S)

    with pytest.raises(TransactionError, match="abort"):
        producer.commit_transaction(TIMEOUT_S)


def test_the_next_delivery_can_be_made_to_fail(broker: MemoryBroker, world: World) -> None:
    topic = world.topic()
    producer = world.producer()
    broker.faults.fail_next_delivery(topic)
    reports: list[object] = []
    producer.produce(topic, b"x", on_delivery=lambda error, _: reports.append(error))
    with pytest.raises(TransactionError, match=topic):
        producer.flush(TIMEOUT_S)
    producer.produce(topic, b"y")
    producer.flush(TIMEOUT_S)

    assert [one.value() for one in world.read(topic, 1)] == [b"y"]
    assert [broker.reaction(one) for one in reports if isinstance(one, BaseException)] == [
        Reaction.RECORD
    ]


def test_a_producer_can_be_fenced(broker: MemoryBroker, world: World) -> None:
    producer = world.producer("one")
    producer.begin_transaction()
    broker.faults.fence("one")

    with pytest.raises(FencedError, match="one"):
        producer.commit_transaction(TIMEOUT_S)


def test_the_owner_of_a_partition_can_be_made_to_lose_it(
    broker: MemoryBroker, world: World
) -> None:
    topic = world.topic(partitions=2)
    member = world.member("group", topic)
    world.until(lambda: len(member.owned) == 2, member)
    metadata = member.consumer.group_metadata()
    broker.faults.lose(TopicPartition(topic, 1))
    producer = world.producer("one")
    producer.begin_transaction()
    with pytest.raises(FencedError, match="group"):
        producer.send_positions({TopicPartition(topic, 1): 1}, metadata)
    member.step()

    assert len(member.told("lost")) == 2
    assert len(member.owned) == 2


def test_a_stopped_broker_answers_nobody(broker: MemoryBroker, world: World) -> None:
    topic = world.topic()
    member = world.member("group", topic)
    world.until(lambda: bool(member.owned), member)
    producer = world.producer("one")
    producer.begin_transaction()
    broker.stop()

    assert member.step() == []
    for ask in (
        world.admin.topics,
        lambda: member.consumer.committed(member.owned),
        lambda: member.consumer.commit({TopicPartition(topic, 0): 0}),
        lambda: producer.commit_transaction(TIMEOUT_S),
    ):
        with pytest.raises(BrokerUnavailableError):
            ask()


def test_records_wait_for_a_stopped_broker(broker: MemoryBroker, world: World) -> None:
    topic = world.topic()
    producer = world.producer()
    broker.stop()
    for value in numbered(3):
        producer.produce(topic, value)
    with pytest.raises(BrokerUnavailableError):
        producer.flush(TIMEOUT_S)
    broker.start()
    producer.produce(topic, b"3")
    producer.flush(TIMEOUT_S)

    assert [one.value() for one in world.read(topic, 4)] == numbered(4)


def test_a_member_that_is_alone_survives_its_session(broker: MemoryBroker, world: World) -> None:
    topic = world.topic()
    member = world.member("group", topic)
    world.until(lambda: bool(member.owned), member)
    broker.clock.sleep(3_600)
    member.step()

    assert member.told("lost") == []


def test_with_the_machines_clock_a_member_waits_for_records() -> None:
    broker = MemoryBroker(clock=SystemClock())
    world = World(broker, broker.clock)
    topic = world.topic()
    member = world.member("group", topic)
    world.until(lambda: bool(member.owned), member)

    assert member.consumer.consume(1, 0.01) == []


def test_an_assignment_moves_no_more_than_it_must() -> None:
    partitions = [TopicPartition("t", number) for number in range(7)]
    first = assign({"a": partitions}, {})
    second = assign({"a": partitions, "b": partitions}, first)
    third = assign({"b": partitions}, second)

    assert sorted(map(len, second.values())) == [3, 4]
    assert second["a"] < first["a"]
    assert second["b"] < third["b"] == set(partitions)


def test_members_get_only_partitions_that_they_subscribe_to() -> None:
    one, two = TopicPartition("one", 0), TopicPartition("two", 0)
    target = assign({"a": [one, two], "b": [two], "c": []}, {})

    assert target == {"a": {one}, "b": {two}, "c": set()}
