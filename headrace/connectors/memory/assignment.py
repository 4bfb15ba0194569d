"""Who should own which partition."""

from collections.abc import Mapping, Sequence

from headrace.runtime.contracts.broker import TopicPartition

Target = dict[str, set[TopicPartition]]


def assign(
    wanted: Mapping[str, Sequence[TopicPartition]], current: Mapping[str, set[TopicPartition]]
) -> Target:
    """Share the partitions among members, balanced and moving as little as possible.

    `wanted` has, per member in the order in which they joined, the partitions that it subscribes
    to; `current` what each owned so far. Every wanted partition gets one owner; an owner keeps its
    own unless that leaves another member with two fewer.
    """
    target: Target = {member: set() for member in wanted}
    for member, partitions in wanted.items():
        target[member] = current.get(member, set()) & set(partitions)
    owned = {partition for partitions in target.values() for partition in partitions}
    rest = sorted({one for partitions in wanted.values() for one in partitions} - owned)
    interested = {member: set(partitions) for member, partitions in wanted.items()}
    for partition in rest:
        eligible = [member for member in target if partition in interested[member]]
        target[min(eligible, key=lambda member: len(target[member]))].add(partition)
    while _move_one(target, interested):
        pass
    return target


def assign_ranges(wanted: Mapping[str, Sequence[TopicPartition]]) -> Target:
    """Share each topic by itself, as Kafka's range assignor does.

    The members that want a topic get runs of its partitions, in their order; the first of them one
    more each where it does not come out even. So topics with equally many partitions, wanted by the
    same members, have the same numbers at the same member.
    """
    target: Target = {member: set() for member in wanted}
    for topic in sorted({one.topic for partitions in wanted.values() for one in partitions}):
        members = [member for member, partitions in wanted.items() if topic in _topics(partitions)]
        numbers = sorted(
            {one for member in members for one in wanted[member] if one.topic == topic}
        )
        size, rest = divmod(len(numbers), len(members))
        begin = 0
        for index, member in enumerate(members):
            end = begin + size + (index < rest)
            target[member].update(numbers[begin:end])
            begin = end
    return target


def _topics(partitions: Sequence[TopicPartition]) -> set[str]:
    return {one.topic for one in partitions}


def _move_one(target: Target, interested: Mapping[str, set[TopicPartition]]) -> bool:
    """Move one partition from a member to one that has at least two fewer; False when balanced."""
    by_load = sorted(target, key=lambda member: len(target[member]))
    for receiver in by_load:
        for giver in reversed(by_load):
            if len(target[giver]) < len(target[receiver]) + 2:
                break
            movable = target[giver] & interested[receiver]
            if movable:
                partition = max(movable)
                target[giver].remove(partition)
                target[receiver].add(partition)
                return True
    return False
