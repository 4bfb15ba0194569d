from collections import Counter

import pytest

from headrace.runtime.contracts.broker import GroupMember, TopicPartition
from headrace.runtime.state.placement import standbys

CHANGELOGS = {"orders": ["counts", "sums"], "users": []}


def member(name: str, *numbers: int) -> GroupMember:
    return GroupMember(
        member_id=f"{name}-0f3a",
        client_id=name,
        instance_id=None,
        assignment=frozenset(
            TopicPartition(topic, number) for number in numbers for topic in ("orders", "users")
        ),
    )


GROUP = [member("c", 2, 5), member("a", 0, 3), member("b", 1, 4)]


def numbers(found: set[TopicPartition]) -> list[int]:
    return sorted(one.partition for one in found if one.topic == "counts")


def test_a_member_copies_those_before_it_in_the_ring() -> None:
    assert [numbers(standbys(me, GROUP, 1, CHANGELOGS)) for me in "abc"] == [[2, 5], [0, 3], [1, 4]]


def test_all_changelogs_of_the_tasks_are_copied_and_no_other_topics() -> None:
    found = standbys("b", [member("a", 7), member("b", 8)], 1, CHANGELOGS)

    assert found == {TopicPartition("counts", 7), TopicPartition("sums", 7)}


@pytest.mark.parametrize("copies", [0, 1, 2, 3, 9])
def test_every_partition_has_as_many_copies_as_asked_for_and_there_are_members(copies: int) -> None:
    found = Counter(one for me in "abc" for one in standbys(me, GROUP, copies, CHANGELOGS))

    assert set(found.values()) <= {min(copies, 2)}
    assert len(found) == (12 if copies else 0)


def test_a_member_alone_keeps_none() -> None:
    assert standbys("a", [member("a", 0, 1)], 1, CHANGELOGS) == set()


def test_who_is_not_in_the_group_keeps_none() -> None:
    assert standbys("z", GROUP, 1, CHANGELOGS) == set()


def test_the_order_in_which_the_broker_tells_members_does_not_matter() -> None:
    assert standbys("a", GROUP, 2, CHANGELOGS) == standbys("a", GROUP[::-1], 2, CHANGELOGS)


def test_what_a_member_owns_itself_is_no_copy_though_another_owns_it_still() -> None:
    group = [member("a", 0, 1), member("b", 1, 2)]

    assert numbers(standbys("b", group, 1, CHANGELOGS)) == [0]
