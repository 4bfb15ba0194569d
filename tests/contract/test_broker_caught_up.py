"""When a consumer says that it has reached the end of a partition."""

from collections.abc import Iterator

import pytest

from headrace.runtime.contracts.broker import TopicPartition
from tests.contract.conftest import KAFKA, KAFKA_CLASSIC, open_world
from tests.contract.world import WAIT_S, Member, World, numbered, whole


@pytest.fixture(params=["memory", KAFKA, KAFKA_CLASSIC])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from open_world(request.param, request)


def _at_the_end(world: World, topic: str, partitions: int = 1) -> Member:
    member = world.member(world.name("group"), topic)
    world.until(lambda: member.caught_up() == whole(topic, partitions), member)
    return member


def test_partitions_without_records_are_caught_up(world: World) -> None:
    topic = world.topic(partitions=3)
    member = world.member(world.name("group"), topic)
    before = member.caught_up()
    world.until(lambda: member.caught_up() == whole(topic, 3), member)

    assert before == frozenset()
    assert member.seen == []
    assert member.consumer.positions() == {}


def test_a_partition_is_caught_up_only_when_its_last_record_was_returned(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = world.member(world.name("group"), topic)
    member.batch = 3
    early = frozenset[TopicPartition]()
    while len(member.seen) < 10:
        early |= member.caught_up()
        member.step()
    world.until(lambda: member.caught_up() == whole(topic, 1), member)

    assert early == frozenset()
    assert member.values == numbered(10)
    assert member.consumer.positions() == {TopicPartition(topic, 0): 10}


def test_partitions_catch_up_one_by_one(world: World) -> None:
    topic = world.topic(partitions=2)
    quiet, busy = TopicPartition(topic, 0), TopicPartition(topic, 1)
    member = _at_the_end(world, topic, 2)
    world.write(topic, numbered(5), partition=busy.partition)
    member.batch = 1
    world.until(lambda: len(member.seen) == 2, member)
    caught_up = member.caught_up()
    world.until(lambda: member.caught_up() == {quiet, busy}, member)

    assert caught_up == {quiet}
    assert member.values == numbered(5)


def test_a_partition_catches_up_again_after_each_record(world: World) -> None:
    topic = world.topic()
    member = _at_the_end(world, topic)
    for number in range(3):
        world.write(topic, numbered(2, first=2 * number))
        member.batch = 1
        world.until(lambda seen=2 * number + 1: len(member.seen) == seen, member)  # type: ignore[misc] # bound now
        between = member.caught_up()
        world.until(lambda: member.caught_up() == whole(topic, 1), member)

        assert between == frozenset()
    assert member.values == numbered(6)


def test_a_seek_forgets_that_the_end_was_reached(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = _at_the_end(world, topic)
    partition = TopicPartition(topic, 0)
    member.consumer.seek({partition: 4})
    after_seek = member.caught_up()
    member.seen.clear()
    world.until(lambda: partition in member.caught_up(), member)

    assert after_seek == frozenset()
    assert member.values == numbered(6, first=4)


def test_a_seek_to_the_end_catches_up(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = _at_the_end(world, topic)
    partition = TopicPartition(topic, 0)
    for _ in range(3):
        member.consumer.seek({partition: 10})
        assert member.caught_up() == frozenset()
        world.until(lambda: partition in member.caught_up(), member)

    assert member.values == numbered(10)


def test_a_partition_that_goes_away_is_not_caught_up(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    first = world.member(group, topic)
    world.until(lambda: len(first.caught_up()) == 2, first)
    second = world.member(group, topic)
    world.until(lambda: len(second.owned) == 1 == len(first.owned), first, second)
    world.until(lambda: second.caught_up() == second.owned, first, second)
    world.until(lambda: first.caught_up() == first.owned, first, second)
    first.consumer.close()

    assert first.caught_up() == frozenset()
    assert len(second.caught_up()) == 1


def test_the_end_is_where_an_open_transaction_begins(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(3))
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    producer.produce(topic, value=b"later", partition=0)
    producer.flush(WAIT_S)
    member = _at_the_end(world, topic)
    seen = member.values
    producer.commit_transaction(WAIT_S)
    world.until(lambda: len(member.seen) == 4, member)
    world.until(lambda: partition in member.caught_up(), member)

    assert seen == numbered(3)
    assert member.values == [*numbered(3), b"later"]


def test_aborted_records_do_not_keep_a_partition_from_catching_up(world: World) -> None:
    topic = world.topic()
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    for value in numbered(3):
        producer.produce(topic, value=value, partition=0)
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)
    member = _at_the_end(world, topic)

    assert member.seen == []


def test_a_pause_and_what_follows_it_do_not_hide_the_end(world: World) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(5), partition=partition)
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.seen) == 10, member)
    for _ in range(5):
        member.consumer.pause(member.owned)
        member.consumer.resume(member.owned)
        member.step()
    world.until(lambda: member.caught_up() == whole(topic, 2), member)
    member.consumer.pause(member.owned)
    while_paused = member.caught_up()
    member.consumer.resume(member.owned)
    world.write(topic, [b"new"])
    world.until(lambda: len(member.seen) == 11, member)
    world.until(lambda: member.caught_up() == whole(topic, 2), member)

    assert while_paused == whole(topic, 2)


def test_ends_are_known_once_partitions_were_fetched(world: World) -> None:
    topic = world.topic()
    place = TopicPartition(topic, 0)
    world.write(topic, numbered(10))
    member = world.member(world.name("group"), topic)
    before = member.consumer.ends()
    member.batch = 3
    world.until(lambda: bool(member.seen), member)
    early = member.consumer.ends()
    world.write(topic, numbered(5))
    world.until(lambda: member.consumer.ends() == {place: 15}, member)

    assert before == {}
    assert early == {place: 10}
