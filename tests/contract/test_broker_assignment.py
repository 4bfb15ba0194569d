"""Who gets which partitions, who is in a group, and how partitions begin paused."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from headrace.runtime.contracts.broker import TopicPartition
from tests.contract.conftest import KAFKA, KAFKA_CLASSIC, open_world
from tests.contract.world import Member, World, numbered, whole


@pytest.fixture(params=["memory", KAFKA, KAFKA_CLASSIC])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from open_world(request.param, request)


class PausedMember(Member):
    """Pauses what it is given inside of `assigned`, as a member does whose tasks have to be restored first."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.consumer.pause(partitions)
        return super().assigned(partitions)


def paused_member(world: World, group: str, *topics: str, **settings: object) -> PausedMember:
    return PausedMember(world.member(group, *topics, **settings).consumer, topics)


def _numbers(member: Member, topic: str) -> set[int]:
    return {one.partition for one in member.owned if one.topic == topic}


def _share(world: World, topics: list[str], *members: Member) -> None:
    def is_shared() -> bool:
        owned = [one for member in members for one in member.owned]
        return len(owned) == 4 * len(topics) and all(member.owned for member in members)

    world.until(is_shared, *members)


def test_range_gives_the_same_numbers_of_all_topics_to_the_same_member(world: World) -> None:
    topics, group = [world.topic(partitions=4) for _ in range(2)], world.name("group")
    first = world.member(group, *topics, assignor="range")
    world.until(lambda: len(first.owned) == 8, first)
    second = world.member(group, *topics, assignor="range")
    _share(world, topics, first, second)
    numbers = [_numbers(member, topics[0]) for member in (first, second)]

    assert [len(some) for some in numbers] == [2, 2]
    assert [_numbers(member, topics[1]) for member in (first, second)] == numbers


def test_range_keeps_numbers_together_when_a_member_leaves(world: World) -> None:
    topics, group = [world.topic(partitions=4) for _ in range(2)], world.name("group")
    members = [world.member(group, *topics, assignor="range") for _ in range(3)]
    _share(world, topics, *members)
    members.pop(0).consumer.close()
    _share(world, topics, *members)
    numbers = [_numbers(member, topics[0]) for member in members]

    assert sorted(len(some) for some in numbers) == [2, 2]
    assert [_numbers(member, topics[1]) for member in members] == numbers


def test_nothing_is_lost_or_doubled_while_ranges_move(world: World) -> None:
    topics, group = [world.topic(partitions=4) for _ in range(2)], world.name("group")
    for topic in topics:
        for partition in range(4):
            world.write(topic, numbered(100), partition=partition)
    members: list[Member] = []

    def join() -> None:
        member = world.member(group, *topics, assignor="range")
        member.batch = 7
        member.on_revoked = member.commit
        members.append(member)

    join()
    world.until(lambda: bool(members[0].seen), members[0])
    join()
    world.until(lambda: bool(members[1].seen), *members)
    members[0].consumer.close()
    world.until(lambda: sum(len(one.seen) for one in members) >= 800, members[1])
    seen = [
        (one.topic(), one.partition(), one.offset()) for member in members for one in member.seen
    ]

    assert len(seen) == 800
    assert len(set(seen)) == 800


def test_a_range_can_be_sought_again_after_data_loss(world: World) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(10), partition=partition)
    member = world.member(world.name("group"), topic, assignor="range")
    world.until(lambda: len(member.seen) == 20, member)
    lost, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    member.consumer.seek({lost: 50})
    with pytest.raises(Exception, match="offset 50"):
        world.until(lambda: False, member)
    member.seen.clear()
    member.consumer.seek({lost: 8})
    world.write(topic, [b"new"], partition=other.partition)
    world.until(lambda: len(member.seen) >= 3, member)

    assert sorted(member.values, key=str) == [b"8", b"9", b"new"]
    assert member.consumer.positions() == {lost: 10, other: 11}


def test_members_of_a_group_are_told(world: World) -> None:
    topic, group = world.topic(partitions=3), world.name("group")
    first = world.member(group, topic, instance_id=world.name("instance"))
    second = world.member(group, topic)

    def is_told() -> bool:
        told = {one.assignment for one in world.admin.group_members(group)}
        return len(first.owned | second.owned) == 3 and told == {first.owned, second.owned}

    world.until(is_told, first, second)
    members = world.admin.group_members(group)

    assert len({one.member_id for one in members}) == 2
    assert {one.assignment: one.instance_id is None for one in members} == {
        first.owned: False,
        second.owned: True,
    }


def test_a_group_that_all_members_have_left_has_none(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    member = world.member(group, topic)
    world.until(lambda: bool(member.owned), member)
    member.consumer.close()

    assert world.admin.group_members(group) == []


@pytest.mark.parametrize("assignor", ["sticky", "range"])
def test_partitions_paused_while_they_are_assigned_give_nothing(
    world: World, assignor: str
) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(200), partition=partition)
    member = paused_member(world, world.name("group"), topic, assignor=assignor)
    world.until(lambda: len(member.owned) == 2, member)
    for _ in range(20):
        member.step()
    while_paused = list(member.seen)
    member.consumer.resume(member.owned)
    world.until(lambda: len(member.seen) >= 400, member)

    assert while_paused == []
    for partition in range(2):
        values = [one.value() for one in member.seen if one.partition() == partition]
        assert values == numbered(200)


def test_partitions_paused_while_they_are_assigned_can_be_sought(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = paused_member(world, world.name("group"), topic)
    world.until(lambda: bool(member.owned), member)
    member.consumer.seek({TopicPartition(topic, 0): 7})
    for _ in range(5):
        member.step()
    while_paused = list(member.seen)
    member.consumer.resume(member.owned)
    world.until(lambda: len(member.seen) >= 3, member)

    assert while_paused == []
    assert member.values == numbered(3, first=7)


@pytest.mark.parametrize("assignor", ["sticky", "range"])
def test_partitions_that_move_begin_paused_and_others_go_on(world: World, assignor: str) -> None:
    topic, group = world.topic(partitions=4), world.name("group")
    for partition in range(4):
        world.write(topic, numbered(300), partition=partition)
    first = world.member(group, topic, assignor=assignor)
    first.batch = 5
    first.on_revoked = first.commit
    world.until(lambda: bool(first.seen), first)
    second = paused_member(world, group, topic, assignor=assignor)
    world.until(lambda: len(first.owned) == len(second.owned) == 2, first, second)
    world.until(lambda: len(first.caught_up()) == 2, first, second)
    while_paused = list(second.seen)
    second.consumer.resume(second.owned)
    world.until(lambda: len(first.seen) + len(second.seen) >= 1_200, first, second)
    seen = [(one.partition(), one.offset()) for one in first.seen + second.seen]

    assert while_paused == []
    assert len(seen) == len(set(seen)) == 1_200


def test_a_partition_is_not_paused_any_more_when_it_comes_back(world: World) -> None:
    topic, group = world.topic(partitions=2), world.name("group")
    first = world.member(group, topic)
    first.on_revoked = first.commit
    world.until(lambda: len(first.owned) == 2, first)
    first.consumer.pause(first.owned)
    second = world.member(group, topic)
    world.until(lambda: len(first.owned) == len(second.owned) == 1, first, second)
    moved = next(iter(second.owned))
    second.consumer.close()
    world.until(lambda: first.owned == whole(topic, 2), first)
    for partition in range(2):
        world.write(topic, numbered(3), partition=partition)
    world.until(lambda: len(first.seen) >= 3, first)

    assert {one.partition() for one in first.seen} == {moved.partition}
