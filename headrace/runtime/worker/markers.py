"""Tells the readers of headrace's own topics how far the tasks of this member have come."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import re2

from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.task.event_time import UNKNOWN, marker
from headrace.runtime.task.task import Task
from headrace.runtime.worker.standing import TaskId

Told = Mapping[str, tuple[int, bool]]
"""How far each task has come, or where inputs tell for themselves, each input; and whether it is idle."""
Place = tuple[str, int]
"""Flow and number of the sub-topology."""


class Target(NamedTuple):
    """A topic that a sub-topology writes to: the stages on the way, and the topics that it reads for other stages.

    `inputs` are the topics whose partitions tell for themselves; None where tasks tell.
    """

    topic: str
    stages: frozenset[str]
    without: frozenset[str]
    inputs: frozenset[str] | None
    has_pattern: bool


class Markers:
    """Writes one marker per commit and partition of a topic, for all tasks that have something new to tell.

    A task that has just begun tells so even though it knows no time yet: whoever reads the topic waits for it from then on.

    Args:
        write: puts a record without a value into the transaction, by topic, partition and key.
    """

    def __init__(
        self,
        plans: Iterable[Plan],
        partitions: Mapping[str, int],
        write: Callable[[str, int, bytes], None],
    ) -> None:
        self._partitions = partitions
        self._write = write
        self._targets: dict[Place, list[Target]] = {}
        self._tasks: dict[Place, int] = {}
        self._topics: set[str] = set()
        for plan in plans:
            for topic, subs in plan.upstreams.items():
                self._topics.add(topic)
                for sub in subs:
                    target = _target(plan, sub, topic, partitions)
                    self._targets.setdefault((plan.name, sub.id), []).append(target)
            for sub in plan.sub_topologies:
                self._tasks[plan.name, sub.id] = _tasks_of(plan, sub, partitions)
        self._told: dict[tuple[str, TaskId], Told] = {}
        self._pending: dict[tuple[str, TaskId], Told] = {}

    def is_told(self, task: Task) -> bool:
        """Whether somebody reads how far a task has come."""
        return (task.flow, task.sub.id) in self._targets

    def is_marked(self, topic: str) -> bool:
        """Whether a topic has markers, so that idleness is told by them."""
        return topic in self._topics

    def write(self, tasks: Iterable[Task]) -> None:
        """Write what has changed since it was last told."""
        news: dict[Place, dict[Target, list[tuple[Task, Told]]]] = {}
        for task in tasks:
            place = (task.flow, task.sub.id)
            for target in self._targets.get(place, ()):
                told = _told(task, target)
                if told != self._told.get((target.topic, task.id)):
                    news.setdefault(place, {}).setdefault(target, []).append((task, told))
                    self._pending[target.topic, task.id] = told
        for place, by_target in news.items():
            for target, changed in by_target.items():
                self._write_one(place, target, changed)

    def _write_one(
        self, place: Place, target: Target, changed: Sequence[tuple[Task, Told]]
    ) -> None:
        if target.inputs is None:
            # A source may get partitions while this worker runs.
            newest = max(task.partition for task, _ in changed)
            count = self._tasks[place] = max(self._tasks[place], newest + 1)
        else:
            count = sum(self._partitions.get(topic, 0) for topic in target.inputs)
        told = {name: how for _, by_name in changed for name, how in by_name.items()}
        key = marker(
            changed[0][0].sub.marker_name,
            count,
            {name: high for name, (high, _) in told.items()},
            [name for name, (_, is_idle) in told.items() if is_idle],
            # Who knows which topics a pattern finds, others may not know yet.
            None if target.has_pattern else target.inputs,
        )
        for partition in range(self._partitions[target.topic]):
            self._write(target.topic, partition, key)

    def committed(self) -> None:
        """What was written holds."""
        self._told.update(self._pending)
        self._pending = {}

    def abort(self) -> None:
        """What was written is void."""
        self._pending = {}

    def forget(self, task: Task) -> None:
        """The task is another member's now."""
        for target in self._targets.get((task.flow, task.sub.id), ()):
            self._told.pop((target.topic, task.id), None)
            self._pending.pop((target.topic, task.id), None)


def _told(task: Task, target: Target) -> Told:
    if target.inputs is None:
        return {str(task.partition): task.told(target.stages, target.without)}
    return {
        f"{place.topic}-{place.partition}": (max(one.high, UNKNOWN), one.is_idle)
        for place, one in task.inputs.items()
        if place.topic not in target.without
    }


def _target(plan: Plan, sub: SubTopology, topic: str, partitions: Mapping[str, int]) -> Target:
    stages = plan.feeding(sub, topic)
    without = {t for source in sub.sources if source.stage not in stages for t in source.topics}
    without -= {t for source in sub.sources if source.stage in stages for t in source.topics}
    inputs = None
    if sub.tells_by_input:
        inputs = frozenset(_topics_of(plan, sub, partitions) - without)
    has_pattern = any(source.pattern for source in sub.sources)
    return Target(topic, stages, frozenset(without), inputs, has_pattern)


def _topics_of(plan: Plan, sub: SubTopology, partitions: Mapping[str, int]) -> set[str]:
    """The topics that a sub-topology reads, as far as they exist."""
    own = {topic.name for topic in plan.topics if topic.is_internal}
    found = {topic for source in sub.sources for topic in source.topics}
    for source in sub.sources:
        if source.pattern:
            pattern = re2.compile(source.pattern)
            found.update(name for name in partitions if pattern.fullmatch(name) and name not in own)
    return found


def _tasks_of(plan: Plan, sub: SubTopology, partitions: Mapping[str, int]) -> int:
    """How many tasks a sub-topology has: as many as the largest of its topics has partitions."""
    counts = [partitions[t] for source in sub.sources for t in source.topics if t in partitions]
    if any(source.pattern for source in sub.sources):
        own = {topic.name for topic in plan.topics if topic.is_internal}
        counts += [count for topic, count in partitions.items() if topic not in own]
    return max(counts, default=0)
