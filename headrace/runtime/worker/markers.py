"""Tells the readers of headrace's own topics how far the tasks of this member have come."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.task.event_time import marker
from headrace.runtime.task.task import Task
from headrace.runtime.worker.standing import TaskId

Told = tuple[int, bool]
Place = tuple[str, int]
"""Flow and number of the sub-topology."""


class Target(NamedTuple):
    """A topic that a sub-topology writes to: the stages on the way, and the topics that it reads for other stages."""

    topic: str
    stages: frozenset[str]
    without: frozenset[str]


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
                    target = _target(plan, sub, topic)
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
                told = task.told(target.stages, target.without)
                if told != self._told.get((target.topic, task.id)):
                    news.setdefault(place, {}).setdefault(target, []).append((task, told))
                    self._pending[target.topic, task.id] = told
        for place, by_target in news.items():
            for target, changed in by_target.items():
                self._write_one(place, target, changed)

    def _write_one(
        self, place: Place, target: Target, changed: Sequence[tuple[Task, Told]]
    ) -> None:
        # A source may get partitions while this worker runs.
        newest = max(task.partition for task, _ in changed)
        self._tasks[place] = max(self._tasks[place], newest + 1)
        key = marker(
            changed[0][0].sub.name,
            self._tasks[place],
            {task.partition: high for task, (high, _) in changed},
            [task.partition for task, (_, is_idle) in changed if is_idle],
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


def _target(plan: Plan, sub: SubTopology, topic: str) -> Target:
    stages = plan.feeding(sub, topic)
    without = {t for source in sub.sources if source.stage not in stages for t in source.topics}
    without -= {t for source in sub.sources if source.stage in stages for t in source.topics}
    return Target(topic, stages, frozenset(without))


def _tasks_of(plan: Plan, sub: SubTopology, partitions: Mapping[str, int]) -> int:
    """How many tasks a sub-topology has: as many as the largest of its topics has partitions."""
    counts = [partitions[t] for source in sub.sources for t in source.topics if t in partitions]
    if any(source.pattern for source in sub.sources):
        own = {topic.name for topic in plan.topics if topic.is_internal}
        counts += [count for topic, count in partitions.items() if topic not in own]
    return max(counts, default=0)
