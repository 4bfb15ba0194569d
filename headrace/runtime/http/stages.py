"""The keyed stages that a worker can be asked about."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import re2

from headrace.runtime.contracts.action import Fold, KeyedAction
from headrace.runtime.contracts.broker import GroupMember, TopicPartition
from headrace.runtime.flow.model import slug
from headrace.runtime.plan import Plan, PlannedStore, SubTopology
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.standing import TaskId


@dataclass(frozen=True)
class Stage:
    """One keyed stage of a flow that this worker runs, and the member that has its tasks."""

    member: Member
    plan: Plan
    planned: PlannedStore
    action: KeyedAction
    fold: Fold | None

    @property
    def flow(self) -> str:
        return self.plan.name

    @property
    def name(self) -> str:
        return self.planned.stage

    @property
    def sub(self) -> SubTopology:
        return self.plan.sub_topologies[self.planned.sub_topology]

    @cached_property
    def count(self) -> int:
        """How many tasks there are: partitions of the changelog."""
        return self.member.partitions[self.planned.changelog]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The topics whose partitions decide who has a task."""
        known = self.member.partitions
        found = [topic for source in self.sub.sources for topic in source.topics if topic in known]
        for source in self.sub.sources:
            if source.pattern:
                own = {topic.name for topic in self.plan.topics if topic.role != "source"}
                pattern = re2.compile(source.pattern)
                found += [name for name in known if pattern.fullmatch(name) and name not in own]
        return tuple(dict.fromkeys(found))

    @property
    def is_placed(self) -> bool:
        """Whether headrace itself put every key into the partition of its hash. Who fills sources may do otherwise."""
        return all(source.is_link for source in self.sub.sources)

    def task(self, partition: int) -> TaskId:
        return self.flow, self.planned.sub_topology, partition

    @property
    def ready(self) -> list[int]:
        """Partitions whose state is here, as a whole."""
        return self._of(self.member.standing.ready)

    @property
    def waiting(self) -> list[int]:
        """Partitions whose state is being brought here."""
        return self._of(self.member.standing.waiting)

    def _of(self, tasks: Iterable[TaskId]) -> list[int]:
        mine = (self.flow, self.planned.sub_topology)
        return sorted(task[2] for task in tasks if task[:2] == mine)

    def held_by(self, member: GroupMember) -> list[int]:
        """Partitions whose task a member of the group has, by what the broker assigned to it."""
        return [
            number
            for number in range(self.count)
            if any(TopicPartition(topic, number) in member.assignment for topic in self.inputs)
        ]


def stages_of(members: Iterable[Member]) -> list[Stage]:
    """All keyed stages of all members, in the order of the documents."""
    found = []
    for member in members:
        for plan in member.plans:
            for planned in plan.stores:
                action = plan.graph.by_name[planned.stage].keyed
                assert action is not None
                found.append(Stage(member, plan, planned, action, action.fold()))
    return found


def is_called(name: str, given: str) -> bool:
    """Whether a flow or a stage goes by what was asked for: its name, or that as it stands in topic names."""
    return given in (name, slug(name))
