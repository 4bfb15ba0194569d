"""Which member keeps which standby copies. Every member works it out by itself, from what the broker tells of the group."""

from collections.abc import Mapping, Sequence

from headrace.runtime.contracts.broker import GroupMember, TopicPartition


def standbys(
    me: str, members: Sequence[GroupMember], copies: int, changelogs: Mapping[str, Sequence[str]]
) -> set[TopicPartition]:
    """The changelog partitions of which the member with client id `me` keeps a copy.

    Members stand in a ring, in the order of their client ids, and the state of each is copied by the `copies` members behind
    it. So a member that joins or leaves moves few copies. `changelogs` names the changelog topics of the tasks that read a
    topic; the group gives partitions of the same number of all of a task's topics to one member.
    """
    ring = sorted(members, key=lambda one: (one.client_id, one.member_id))
    place = next((i for i, one in enumerate(ring) if one.client_id == me), None)
    if place is None:
        return set()
    copied = [ring[place - 1 - i] for i in range(min(copies, len(ring) - 1))]
    return {
        TopicPartition(changelog, partition)
        for member in copied
        for topic, partition in member.assignment
        for changelog in changelogs.get(topic, ())
    } - {
        TopicPartition(changelog, partition)
        for topic, partition in ring[place].assignment
        for changelog in changelogs.get(topic, ())
    }
