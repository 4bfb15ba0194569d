"""Groups: who reads what, what is committed when, and what a member may still do."""

from collections import Counter
from collections.abc import Iterator

import pytest

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import FencedError, RestartError, TransactionError
from tests.contract.conftest import KAFKA, KAFKA_CLASSIC, open_world
from tests.contract.world import WAIT_S, Member, World, numbered, whole

SHORT_SESSION_MS = 2_000


@pytest.fixture(params=["memory", KAFKA, KAFKA_CLASSIC])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from open_world(request.param, request)


def test_two_members_share_the_partitions(world: World) -> None:
    topic, group = world.topic(partitions=4), world.name("group")
    first, second = world.member(group, topic), world.member(group, topic)
    world.until(lambda: len(first.owned) == len(second.owned) == 2, first, second)

    assert first.owned | second.owned == whole(topic, 4)


def test_a_member_that_stays_keeps_partitions_that_need_not_move(world: World) -> None:
    topic, group = world.topic(partitions=4), world.name("group")
    first = world.member(group, topic)
    world.until(lambda: len(first.owned) == 4, first)
    second = world.member(group, topic)
    world.until(lambda: len(second.owned) == 2, first, second)

    assert len(first.told("revoked")) == 2
    assert first.told("lost") == []


def test_after_a_member_leaves_another_goes_on_from_its_positions(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    world.write(topic, numbered(20))
    first = world.member(group, topic)
    first.batch = 7
    first.on_revoked = first.commit
    world.until(lambda: bool(first.seen), first)
    first.consumer.close()
    second = world.member(group, topic)
    world.until(lambda: len(first.seen) + len(second.seen) >= 20, second)

    assert first.values + second.values == numbered(20)


def test_closing_revokes_everything_that_is_owned(world: World) -> None:
    topic = world.topic(partitions=3)
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.owned) == 3, member)
    member.consumer.close()

    assert set(member.told("revoked")) == whole(topic, 3)
    assert member.told("lost") == []


def test_positions_can_be_committed_while_partitions_are_revoked(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    for partition in range(2):
        world.write(topic, numbered(10), partition=partition)
    first = world.member(group, topic)
    first.on_revoked = first.commit
    world.until(lambda: len(first.seen) == 20, first)
    second = world.member(group, topic)
    world.until(lambda: bool(second.owned), first, second)
    moved = next(iter(second.owned))

    assert second.consumer.committed([moved]) == {moved: 10}


def test_positions_can_be_committed_in_a_transaction_while_partitions_are_revoked(
    world: World,
) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    for partition in range(2):
        world.write(topic, numbered(10), partition=partition)
    first = world.member(group, topic)
    producer = world.producer(world.name("transaction"))

    def commit() -> None:
        producer.begin_transaction()
        producer.send_positions(first.consumer.positions(), first.consumer.group_metadata())
        producer.commit_transaction(WAIT_S)

    first.on_revoked = commit
    world.until(lambda: len(first.seen) == 20, first)
    second = world.member(group, topic)
    world.until(lambda: bool(second.owned), first, second)
    moved = next(iter(second.owned))

    assert second.consumer.committed([moved]) == {moved: 10}


def test_positions_while_partitions_are_revoked_are_those_of_the_last_return(
    world: World,
) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    for partition in range(2):
        world.write(topic, numbered(500), partition=partition)
    first = world.member(group, topic)
    first.batch = 3
    found: list[tuple[dict[TopicPartition, int], dict[TopicPartition, int]]] = []
    first.on_revoked = lambda: found.append((first.consumer.positions(), _after(first)))
    world.until(lambda: len(first.owned) == 2, first)
    second = world.member(group, topic)
    world.until(lambda: bool(found), first, second)
    positions, expected = found[0]

    assert {one: position for one, position in positions.items() if position} == expected


def _after(member: Member) -> dict[TopicPartition, int]:
    """The offsets after the last records that were returned."""
    return {TopicPartition(one.topic(), one.partition()): one.offset() + 1 for one in member.seen}


def test_nothing_is_lost_or_doubled_while_members_come_and_go(world: World) -> None:
    topic, group = world.topic(partitions=6), world.name("group")
    for partition in range(6):
        world.write(topic, numbered(400), partition=partition)
    members: list[Member] = []
    kept: Counter[tuple[int, bytes | None]] = Counter()

    def join() -> None:
        member = world.member(group, topic)
        member.batch = 11
        member.on_revoked = member.commit
        members.append(member)

    def advance(turns: int) -> None:
        for _ in range(turns):
            for member in members:
                for message in member.step():
                    kept[message.partition(), message.value()] += 1

    join()
    world.until(lambda: bool(members[0].owned), members[0])
    kept.update((one.partition(), one.value()) for one in members[0].seen)
    for _ in range(4):
        join()
        advance(4)
        members.pop(0).consumer.close()
        advance(3)
    for _ in range(600):
        advance(1)
        if len(kept) == 2_400:
            break

    assert len(kept) == 2_400
    assert set(kept.values()) == {1}


def test_records_stay_in_order_while_members_come_and_go(world: World) -> None:
    topic, group = world.topic(partitions=3), world.name("group")
    for partition in range(3):
        world.write(topic, numbered(300), partition=partition)
    stays = world.member(group, topic)
    stays.batch = 5
    stays.on_revoked = stays.commit
    world.until(lambda: bool(stays.owned), stays)
    for _ in range(3):
        guest = world.member(group, topic)
        guest.batch = 5
        guest.on_revoked = guest.commit
        for _ in range(6):
            stays.step()
            guest.step()
        guest.consumer.close()
    world.until(lambda: _is_done(world, stays, topic), stays)
    for partition in range(3):
        offsets = [one.offset() for one in stays.seen if one.partition() == partition]

        assert offsets == sorted(set(offsets))


def _is_done(world: World, member: Member, topic: str) -> bool:
    ends = world.admin.offsets(whole(topic, 3), "latest")
    return member.consumer.positions() == ends


def test_a_member_that_was_expelled_is_told_that_its_partitions_are_gone(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    frozen = _frozen(world, group, topic)
    owned = frozen.owned
    other = world.member(group, topic)
    world.until(lambda: len(other.owned) == 2, other)
    world.until(lambda: bool(frozen.told("lost")), frozen, other)

    # What the group asked for before it gave the member up is still told as revoked.
    assert {*frozen.told("lost"), *frozen.told("revoked")} == owned


def test_a_member_that_was_expelled_joins_anew(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    frozen = _frozen(world, group, topic)
    other = world.member(group, topic)
    world.until(lambda: len(other.owned) == 2, other)
    world.until(lambda: len(frozen.owned) == len(other.owned) == 1, frozen, other)

    assert frozen.owned | other.owned == whole(topic, 2)


def test_a_member_that_was_expelled_cannot_commit(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    frozen = _frozen(world, group, topic)
    other = world.member(group, topic)
    world.until(lambda: bool(other.owned), other)

    with pytest.raises(TransactionError, match=group):
        frozen.consumer.commit({TopicPartition(topic, 0): 1})
    assert other.consumer.committed(other.owned) == {}


def test_a_member_that_was_expelled_cannot_commit_its_transaction(world: World) -> None:
    topic, group, out = world.topic(), world.name("group"), world.topic()
    frozen = _frozen(world, group, topic)
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    producer.produce(out, value=b"of the expelled")
    metadata = frozen.consumer.group_metadata()
    other = world.member(group, topic)
    world.until(lambda: bool(other.owned), other)

    with pytest.raises(FencedError):
        producer.send_positions({TopicPartition(topic, 0): 1}, metadata)
    producer.abort_transaction(WAIT_S)
    world.write(out, [b"after"])
    assert [one.value() for one in world.read(out, 1)] == [b"after"]


def test_what_a_member_showed_before_a_rebalance_is_not_taken_after_it(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    first = world.member(group, topic)
    world.until(lambda: len(first.owned) == 2, first)
    metadata = first.consumer.group_metadata()
    second = world.member(group, topic)
    world.until(lambda: len(first.owned) == len(second.owned) == 1, first, second)
    kept, moved = next(iter(first.owned)), next(iter(second.owned))
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()

    with pytest.raises(FencedError):
        producer.send_positions({moved: 1}, metadata)
    producer.abort_transaction(WAIT_S)
    producer.begin_transaction()
    producer.send_positions({kept: 1}, first.consumer.group_metadata())
    producer.commit_transaction(WAIT_S)
    assert first.consumer.committed([kept]) == {kept: 1}


def _frozen(world: World, group: str, topic: str) -> Member:
    """A member that owns the whole topic and is not driven any more."""
    frozen = world.member(
        group,
        topic,
        session_timeout_ms=SHORT_SESSION_MS,
        max_poll_interval_ms=SHORT_SESSION_MS,
    )
    world.until(lambda: bool(frozen.owned), frozen)
    return frozen


def test_a_static_member_comes_back_to_its_partitions(world: World) -> None:
    topic, group = world.topic(partitions=4), world.name("group")
    first = world.member(group, topic, instance_id="one")
    second = world.member(group, topic, instance_id="two")
    world.until(lambda: len(first.owned) == len(second.owned) == 2, first, second)
    owned = second.owned
    first.events.clear()
    second.consumer.close()
    for _ in range(5):
        first.step()
    again = world.member(group, topic, instance_id="two")
    world.until(lambda: len(again.owned) == 2, first, again)

    assert again.owned == owned
    assert first.told("revoked") == first.told("assigned") == []


def test_of_two_members_with_one_instance_id_one_is_fenced(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    first = world.member(group, topic, instance_id="same")
    world.until(lambda: bool(first.owned), first)
    second = world.member(group, topic, instance_id="same")

    with pytest.raises(FencedError, match="same"):
        world.until(lambda: False, first, second)


def test_committed_positions_leave_out_partitions_without_one(world: World) -> None:
    topic = world.topic(partitions=2)
    world.write(topic, numbered(3), partition=1)
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.seen) == 3 and len(member.owned) == 2, member)
    member.commit()
    written = TopicPartition(topic, 1)

    assert member.consumer.committed(member.owned) == {written: 3}
    assert member.consumer.committed([]) == {}


def test_new_partitions_are_assigned(world: World) -> None:
    if world.protocol == "classic":
        pytest.skip("classic members find new partitions with their metadata, every 30 s")
    topic = world.topic()
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.owned) == 1, member)
    world.admin.add_partitions(topic, 3)
    world.until(lambda: len(member.owned) == 3, member)

    assert member.owned == whole(topic, 3)
    assert member.told("revoked") == []


def test_a_group_with_members_is_not_forgotten(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    member = world.member(group, topic)
    world.until(lambda: bool(member.owned), member)

    with pytest.raises(RestartError, match=group):
        world.admin.delete_group(group)


def test_an_exception_of_the_listener_loses_no_record(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    for partition in range(2):
        world.write(topic, numbered(200), partition=partition)
    first = world.member(group, topic)
    first.batch = 3
    world.until(lambda: bool(first.seen), first)
    failures = iter([LookupError("while partitions are revoked")])

    def fail_once() -> None:
        first.commit()
        for failure in failures:
            raise failure

    first.on_revoked = fail_once
    second = world.member(group, topic)
    with pytest.raises(LookupError):
        world.until(lambda: False, first, second)
    second.on_revoked = second.commit
    world.until(lambda: len(first.seen) + len(second.seen) >= 400, first, second)
    seen = Counter((one.partition(), one.offset()) for one in first.seen + second.seen)

    assert len(seen) == 400
    assert set(seen.values()) == {1}
