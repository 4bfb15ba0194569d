"""What a cluster says about plans: the topics that are there, would be created, or keep records too short."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace.runtime import brokers
from headrace.runtime.cli.planning import kept_for, pattern_matches
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Admin, NewTopic, TopicDescription, TopicPartition
from headrace.runtime.plan import Plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.topics import TopicsInUse, ensure_topics, expiries


class Creation(NamedTuple):
    """A topic that a worker would create."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class LivePlan:
    """The plans' topics that exist, those that would be created, and what will go wrong."""

    topics: Mapping[str, TopicDescription]
    would_create: tuple[Creation, ...]
    warnings: tuple[str, ...]


class ReadingAdmin:
    """An `Admin` that notes what it is asked to create, and creates nothing.

    So `plan` tells what a worker would do by doing the same, up to the last step.
    """

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self.asked: list[NewTopic] = []

    def create(self, topics: Sequence[NewTopic]) -> None:
        self.asked.extend(topics)

    def __getattr__(self, name: str) -> Any:
        if name in {"delete", "add_partitions", "delete_records", "delete_group"}:
            raise AttributeError(f"{name} would change the cluster")
        return getattr(self._admin, name)


def look_at_cluster(plans: Sequence[Plan], settings: WorkerSettings) -> LivePlan:
    """Ask the cluster; nothing on it is changed.

    Raises:
        BrokerUnavailableError: no broker answered.
    """
    admin = brokers.connect(settings.engine, settings.brokers, settings.client).admin()
    try:
        reading = ReadingAdmin(admin)
        willing = settings.model_copy(update={"create_topics": True})
        in_use = ensure_topics(reading, plans, willing)
        return LivePlan(
            topics=in_use.described,
            would_create=tuple(
                Creation(new.name, new.partitions, dict(new.config)) for new in reading.asked
            ),
            warnings=tuple(_retention_warnings(plans, in_use, admin)),
        )
    finally:
        admin.close()


def late_warnings(plan: Plan, topics: TopicsInUse, admin: Admin) -> Iterator[str]:
    """Topics of late records, which keep their event times, that would delete them at once."""
    for planned in plan.topics:
        topic = topics.described.get(planned.name or "") if planned.role == "late" else None
        if topic is None or topic.retention_ms < 0 or topic.is_stamped_by_broker:
            continue
        if records_older_than(plan, topic.retention_ms, topics, admin):
            yield (
                f"flow '{plan.name}': late records of stage '{planned.stages[0]}' go to '{topic.name}', which keeps records for"
                f" {kept_for(topic.retention_ms)} from their event time, and there are older ones to read"
            )


def _retention_warnings(plans: Sequence[Plan], topics: TopicsInUse, admin: Admin) -> Iterator[str]:
    for plan in plans:
        yield from late_warnings(plan, topics, admin)
        expiry = expiries([plan], topics).get(plan.name)
        if expiry is None:
            continue
        kept = kept_for(expiry.retention_ms)
        old = records_older_than(plan, expiry.retention_ms, topics, admin)
        if old:
            where = ", ".join(f"{count:,} in '{topic}'" for topic, count in old.items())
            yield (
                f"flow '{plan.name}': stage '{expiry.stage}' writes to '{expiry.sink}', which keeps records for {kept} from"
                f" their event time, but there are older ones to read: {where}; set retention.ms=-1 or"
                " message.timestamp.type=LogAppendTime on the topic, or `timestamp: now` on the stage"
            )


def records_older_than(
    plan: Plan, age_ms: int, topics: TopicsInUse, admin: Admin
) -> dict[str, int]:
    """Per topic that the flow reads, how many records at its beginning are older than this and not read yet."""
    named = {topic.name for topic in plan.topics if topic.role == "source" and topic.name}
    named.update(pattern_matches(plan, topics.described))
    names = sorted(named & set(topics.described))
    partitions = [
        TopicPartition(name, i) for name in names for i in range(topics.described[name].partitions)
    ]
    if not partitions:
        return {}
    begin = admin.offsets(partitions, "earliest")
    young = admin.offsets(partitions, SystemClock().now_ms() - age_ms)
    read = admin.group_positions(plan.group)
    found: dict[str, int] = {}
    for partition in partitions:
        first = max(begin[partition], read.get(partition, 0))
        if young[partition] > first:
            count = young[partition] - first
            found[partition.topic] = found.get(partition.topic, 0) + count
    return found
