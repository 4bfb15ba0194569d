"""Tells the readers of headrace's own topics how far the tasks of this member have come."""

from collections.abc import Callable, Iterable, Mapping

from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.task.event_time import marker
from headrace.runtime.task.task import Task

Told = tuple[int, bool]


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
        self._targets: dict[tuple[str, int], list[str]] = {}
        self._tasks: dict[tuple[str, int], int] = {}
        self._topics: set[str] = set()
        for plan in plans:
            for topic, subs in plan.upstreams.items():
                self._topics.add(topic)
                for sub in subs:
                    self._targets.setdefault((plan.name, sub.id), []).append(topic)
            for sub in plan.sub_topologies:
                self._tasks[plan.name, sub.id] = _tasks_of(plan, sub, partitions)
        self._told: dict[tuple[str, int, int], Told] = {}
        self._pending: dict[tuple[str, int, int], Told] = {}

    def is_told(self, task: Task) -> bool:
        """Whether somebody reads how far a task has come."""
        return (task.flow, task.sub.id) in self._targets

    def is_marked(self, topic: str) -> bool:
        """Whether a topic has markers, so that idleness is told by them."""
        return topic in self._topics

    def write(self, tasks: Iterable[Task]) -> None:
        """Write what has changed since it was last told."""
        news: dict[tuple[str, int], list[tuple[Task, Told]]] = {}
        for task in tasks:
            place = (task.flow, task.sub.id)
            if place not in self._targets:
                continue
            told = (task.told_watermark, task.is_idle)
            known = self._told.get((*place, task.partition))
            if told != known:
                news.setdefault(place, []).append((task, told))
                self._pending[*place, task.partition] = told
        for place, changed in news.items():
            # A source may get partitions while this worker runs.
            newest = max(task.partition for task, _ in changed)
            self._tasks[place] = max(self._tasks[place], newest + 1)
            key = marker(
                changed[0][0].sub.name,
                self._tasks[place],
                {task.partition: high for task, (high, _) in changed},
                [task.partition for task, (_, is_idle) in changed if is_idle],
            )
            for topic in self._targets[place]:
                for partition in range(self._partitions[topic]):
                    self._write(topic, partition, key)

    def committed(self) -> None:
        """What was written holds."""
        self._told.update(self._pending)
        self._pending = {}

    def abort(self) -> None:
        """What was written is void."""
        self._pending = {}

    def forget(self, task: Task) -> None:
        """The task is another member's now."""
        self._told.pop((task.flow, task.sub.id, task.partition), None)
        self._pending.pop((task.flow, task.sub.id, task.partition), None)


def _tasks_of(plan: Plan, sub: SubTopology, partitions: Mapping[str, int]) -> int:
    """How many tasks a sub-topology has: as many as the largest of its topics has partitions."""
    counts = [partitions[t] for source in sub.sources for t in source.topics if t in partitions]
    if any(source.pattern for source in sub.sources):
        own = {topic.name for topic in plan.topics if topic.is_internal}
        counts += [count for topic, count in partitions.items() if topic not in own]
    return max(counts, default=0)
