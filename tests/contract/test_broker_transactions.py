"""Transactions: what readers see of them, and who may still end one."""

from contextlib import suppress

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import Producer, Reaction, TopicPartition
from headrace.runtime.errors import FencedError, TransactionError
from tests.contract.world import WAIT_S, Member, World, numbered, produce_patiently


def _transactional(world: World) -> Producer:
    return world.producer(world.name("transaction"))


def _write(producer: Producer, topic: str, *values: bytes) -> None:
    for value in values:
        produce_patiently(producer, topic, value=value, partition=0)


def _quiet(member: Member) -> list[bytes | None]:
    """What a member sees in a few turns."""
    for _ in range(10):
        member.step()
    return member.values


def test_committed_records_are_seen(world: World) -> None:
    topic = world.topic()
    world.write_committed(topic, numbered(5))

    assert [one.value() for one in world.read(topic, 5)] == numbered(5)


def test_aborted_records_are_never_seen(world: World) -> None:
    topic = world.topic()
    producer = _transactional(world)
    producer.begin_transaction()
    _write(producer, topic, b"aborted")
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    _write(producer, topic, b"committed")
    producer.commit_transaction(WAIT_S)

    assert [one.value() for one in world.read(topic, 1)] == [b"committed"]


def test_readers_wait_at_an_open_transaction(world: World) -> None:
    topic = world.topic()
    producer = _transactional(world)
    producer.begin_transaction()
    _write(producer, topic, b"open")
    producer.flush(WAIT_S)
    world.write(topic, [b"behind it"])
    member = world.member(world.name("group"), topic)
    world.until(lambda: bool(member.owned), member)
    before = list(_quiet(member))
    producer.commit_transaction(WAIT_S)
    world.until(lambda: len(member.seen) == 2, member)

    assert before == []
    assert member.values == [b"open", b"behind it"]


def test_the_latest_offset_is_where_an_open_transaction_begins(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(3))
    producer = _transactional(world)
    producer.begin_transaction()
    _write(producer, topic, b"open")
    producer.flush(WAIT_S)
    while_open = world.admin.offsets([partition], "latest")
    producer.abort_transaction(WAIT_S)
    world.until(lambda: world.admin.offsets([partition], "latest") != while_open)

    assert while_open == {partition: 3}
    assert world.admin.offsets([partition], "latest")[partition] >= 4


def test_a_transaction_spans_topics(world: World) -> None:
    first, second = world.topic(), world.topic()
    producer = _transactional(world)
    producer.begin_transaction()
    _write(producer, first, b"one")
    _write(producer, second, b"two")
    producer.commit_transaction(WAIT_S)

    assert [one.value() for one in world.read(first, 1)] == [b"one"]
    assert [one.value() for one in world.read(second, 1)] == [b"two"]


def test_an_empty_transaction_can_be_committed_and_aborted(world: World) -> None:
    producer = _transactional(world)
    producer.begin_transaction()
    producer.commit_transaction(WAIT_S)
    producer.begin_transaction()
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    producer.commit_transaction(WAIT_S)


def test_a_new_producer_aborts_what_the_old_one_left_open(world: World) -> None:
    topic, name = world.topic(), world.name("transaction")
    old = world.producer(name)
    old.begin_transaction()
    _write(old, topic, b"of the old")
    old.flush(WAIT_S)
    new = world.producer(name)
    new.begin_transaction()
    _write(new, topic, b"of the new")
    new.commit_transaction(WAIT_S)

    assert [one.value() for one in world.read(topic, 1)] == [b"of the new"]


def test_a_producer_with_a_newer_one_cannot_commit(world: World) -> None:
    topic, name = world.topic(), world.name("transaction")
    old = world.producer(name)
    old.begin_transaction()
    _write(old, topic, b"of the old")
    world.producer(name)

    with pytest.raises(FencedError, match=name):
        old.commit_transaction(WAIT_S)


def test_a_producer_with_a_newer_one_cannot_begin_and_produce(world: World) -> None:
    topic, name = world.topic(), world.name("transaction")
    old = world.producer(name)
    old.begin_transaction()
    _write(old, topic, b"of the old")
    world.producer(name)
    with pytest.raises(FencedError):
        old.commit_transaction(WAIT_S)

    with pytest.raises(FencedError):
        old.begin_transaction()
    with pytest.raises(Exception) as caught:  # noqa: PT011 # the broker's own exception
        old.produce(topic, value=b"again")
    assert world.broker.reaction(caught.value) is Reaction.FENCED


def test_a_record_outside_of_a_transaction_asks_for_an_abort(world: World) -> None:
    topic = world.topic()
    producer = _transactional(world)
    with pytest.raises(Exception) as caught:  # noqa: PT011 # the broker's own exception
        producer.produce(topic, value=b"x")

    assert world.broker.reaction(caught.value) is Reaction.TRANSACTION


def test_positions_become_visible_with_the_records(world: World) -> None:
    topic, out, group = world.topic(), world.topic(), world.name("group")
    world.write(topic, numbered(4))
    member = world.member(group, topic)
    world.until(lambda: len(member.seen) == 4, member)
    producer = _transactional(world)
    producer.begin_transaction()
    _write(producer, out, b"result")
    producer.send_positions(member.consumer.positions(), member.consumer.group_metadata())
    producer.commit_transaction(WAIT_S)
    after = member.consumer.committed(member.owned)

    assert after == {TopicPartition(topic, 0): 4}
    assert world.admin.group_positions(group) == after
    assert [one.value() for one in world.read(out, 1)] == [b"result"]


def test_an_abort_keeps_the_positions_of_before(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    world.write(topic, numbered(4))
    member = world.member(group, topic)
    world.until(lambda: len(member.seen) == 4, member)
    partition = TopicPartition(topic, 0)
    member.consumer.commit({partition: 1})
    producer = _transactional(world)
    producer.begin_transaction()
    producer.send_positions({partition: 4}, member.consumer.group_metadata())
    producer.abort_transaction(WAIT_S)

    assert member.consumer.committed([partition]) == {partition: 1}


def test_after_an_abort_the_work_can_be_done_again(world: World) -> None:
    topic, out, group = world.topic(), world.topic(), world.name("group")
    world.write(topic, numbered(4))
    member = world.member(group, topic)
    producer = _transactional(world)
    world.until(lambda: len(member.seen) == 4, member)
    producer.begin_transaction()
    _write(producer, out, *numbered(4))
    producer.abort_transaction(WAIT_S)
    member.consumer.seek(dict.fromkeys(member.owned, 0))
    member.seen.clear()
    world.until(lambda: len(member.seen) == 4, member)
    producer.begin_transaction()
    _write(producer, out, *[one.value() or b"" for one in member.seen])
    producer.send_positions(member.consumer.positions(), member.consumer.group_metadata())
    producer.commit_transaction(WAIT_S)

    assert [one.value() for one in world.read(out, 4)] == numbered(4)
    assert member.consumer.committed(member.owned) == {TopicPartition(topic, 0): 4}


def test_a_record_that_was_not_accepted_fails_the_commit_and_names_the_topic(
    world: World,
) -> None:
    topic = world.topic(cleanup_policy="compact")
    producer = _transactional(world)
    producer.begin_transaction()
    producer.produce(topic, value=b"without a key")

    with pytest.raises(TransactionError, match=topic):
        producer.commit_transaction(WAIT_S)


def test_after_a_record_that_was_not_accepted_an_abort_makes_the_producer_whole(
    world: World,
) -> None:
    topic = world.topic(cleanup_policy="compact")
    producer = _transactional(world)
    producer.begin_transaction()
    producer.produce(topic, value=b"without a key")
    with pytest.raises(TransactionError):
        producer.commit_transaction(WAIT_S)
    # The client needs a second abort to get over the number that the refused record had.
    for _ in range(3):
        producer.abort_transaction(WAIT_S)
        producer.begin_transaction()
        producer.produce(topic, value=b"with a key", key=b"key")
        with suppress(TransactionError):
            producer.commit_transaction(WAIT_S)
            break

    assert [one.value() for one in world.read(topic, 1)] == [b"with a key"]


def test_a_flush_tells_of_a_record_that_was_not_accepted(world: World) -> None:
    topic = world.topic(cleanup_policy="compact")
    producer = _transactional(world)
    producer.begin_transaction()
    producer.produce(topic, value=b"without a key")

    with pytest.raises(TransactionError, match=topic):
        producer.flush(WAIT_S)


def test_a_transaction_that_takes_too_long_is_over(world: World) -> None:
    if not isinstance(world.broker, MemoryBroker):
        pytest.skip("brokers look for transactions that are over at their own pace")
    topic = world.topic()
    producer = world.producer(world.name("transaction"), transaction_timeout_ms=5_000)
    producer.begin_transaction()
    _write(producer, topic, b"late")
    world.clock.sleep(6)

    with pytest.raises(FencedError):
        producer.commit_transaction(WAIT_S)
    assert world.admin.offsets([TopicPartition(topic, 0)], "latest")[TopicPartition(topic, 0)] == 2
