"""A consumer group in memory: cooperative, driven from the broker like KIP-848.

A member owns what it was told to own and has not given back. A partition that moves is first
revoked by its owner, inside the owner's `consume`, and only then given to the next one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from headrace.connectors.memory.assignment import assign, assign_ranges
from headrace.runtime.contracts.broker import TopicPartition


class GroupMetadata(NamedTuple):
    """What a producer shows to commit positions for a member."""

    group: str
    member: str
    epoch: int


@dataclass(eq=False)
class Member:
    """One member; `epoch` is the group's when it last had nothing to give back."""

    id: str
    client_id: str
    instance_id: str | None
    topics: Sequence[str]
    session_timeout_ms: int
    seen_ms: int
    assignor: Literal["sticky", "range"] = "sticky"
    epoch: int = 0
    owned: set[TopicPartition] = field(default_factory=set)
    is_away: bool = False  # closed, but its instance id keeps its place until the session is over


class Group:
    """Members, what each should own, and the committed positions.

    Not locked: the cluster's lock is held by whoever calls.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0
        self.committed: dict[TopicPartition, int] = {}
        self._members: dict[str, Member] = {}
        self._fenced: set[str] = set()  # whose instance id was taken over
        self._target: dict[str, set[TopicPartition]] = {}
        self._wanted: dict[str, tuple[TopicPartition, ...]] = {}  # what it was worked out from
        self._changes = 0  # of the members
        self._seen_changes = (-1, -1)

    @property
    def is_empty(self) -> bool:
        return not self._members

    def member(self, member_id: str) -> Member | None:
        return self._members.get(member_id)

    def is_fenced(self, member_id: str) -> bool:
        """Whether another member has taken this one's instance id."""
        return member_id in self._fenced

    def join(self, member: Member) -> None:
        """Add a member; one with the same instance id loses its place to it."""
        heir: set[TopicPartition] = set()
        for other in list(self._members.values()):
            if member.instance_id is not None and other.instance_id == member.instance_id:
                heir = self._target.get(other.id, set())
                if not other.is_away:
                    self._fenced.add(other.id)
                del self._members[other.id]
        self._members[member.id] = member
        self._target[member.id] = set(heir)
        self._changes += 1

    def leave(self, member: Member) -> None:
        """A member that closes; with an instance id its place is kept until its session is over."""
        if member.id not in self._members:
            return
        member.owned.clear()
        if member.instance_id is None:
            self.expel(member.id)
        else:
            member.is_away = True

    def expel(self, member_id: str) -> None:
        """Remove a member, which may not know it yet."""
        self._members.pop(member_id, None)
        self._changes += 1

    def members(self) -> list[Member]:
        return list(self._members.values())

    def expire(self, now_ms: int) -> None:
        """Expel the members that were not seen for longer than their session."""
        for member in self.members():
            if now_ms - member.seen_ms > member.session_timeout_ms:
                self.expel(member.id)

    def rebalance(self, partitions: Mapping[str, int], topic_changes: int) -> None:
        """Work out anew who should own what, if members or topics have changed.

        `partitions` has the number of partitions of every topic, and `topic_changes` counts how
        often that has changed.
        """
        if self._seen_changes == (self._changes, topic_changes):
            return
        self._seen_changes = (self._changes, topic_changes)
        wanted = {
            member.id: tuple(
                TopicPartition(topic, number)
                for topic in subscribed(member.topics, partitions)
                for number in range(partitions[topic])
            )
            for member in self._members.values()
        }
        if wanted != self._wanted:
            self._wanted = wanted
            self.epoch += 1
            self._target = self._shared(wanted)

    def _shared(
        self, wanted: Mapping[str, Sequence[TopicPartition]]
    ) -> dict[str, set[TopicPartition]]:
        if any(member.assignor == "range" for member in self._members.values()):
            ranks = {one.id: one.instance_id or one.id for one in self._members.values()}
            return assign_ranges(
                {one: wanted[one] for one in sorted(wanted, key=ranks.__getitem__)}
            )
        return assign(wanted, self._target)

    def to_revoke(self, member: Member) -> list[TopicPartition]:
        """What the member must give back first."""
        return sorted(member.owned - self._target.get(member.id, set()))

    def to_assign(self, member: Member) -> list[TopicPartition]:
        """What the member may take now: nobody else owns it any more."""
        missing = self._target.get(member.id, set()) - member.owned
        if not missing:
            return []
        taken = {one for other in self._members.values() for one in other.owned}
        return sorted(missing - taken)

    def accepts(self, metadata: GroupMetadata) -> bool:
        """Whether a member may commit positions with this metadata."""
        member = self._members.get(metadata.member)
        return member is not None and not member.is_away and member.epoch == metadata.epoch


def subscribed(topics: Sequence[str], existing: Mapping[str, int]) -> list[str]:
    """The existing topics that names and `^` patterns stand for, in order."""
    found: list[str] = []
    for name in topics:
        if name.startswith("^"):
            pattern = re.compile(name)
            found += [topic for topic in sorted(existing) if pattern.fullmatch(topic)]
        elif name in existing:
            found.append(name)
    return list(dict.fromkeys(found))
