"""The topics that flows need: found, created, or asked for in one clear message."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import re2

from headrace.runtime.contracts.action import InlineAction, Sink
from headrace.runtime.contracts.broker import Admin, NewTopic, TopicDescription
from headrace.runtime.errors import SettingsError
from headrace.runtime.flow import did_you_mean
from headrace.runtime.plan import Plan, PlannedSource, PlannedTopic, SubTopology, feeds_of
from headrace.runtime.plan.evolution import anew
from headrace.runtime.settings import WorkerSettings

FOREVER = "-1"
CHANGELOG = {"cleanup.policy": "compact", "retention.ms": FOREVER}
READ_ONLY = ("source", "table")
MESSAGE_BYTES_DEFAULT = 1_048_588  # what Kafka's topics take when nobody changed it


@dataclass(frozen=True)
class TopicsInUse:
    """The topics of the plans as they are on the broker; those that an expression names are not among them."""

    described: Mapping[str, TopicDescription]

    @property
    def partitions(self) -> dict[str, int]:
        return {name: topic.partitions for name, topic in self.described.items()}

    def limits(self, plans: Sequence[Plan]) -> dict[str, int]:
        """The largest record of each topic that the plans write to."""
        written = {
            t.name for plan in plans for t in plan.topics if t.role not in READ_ONLY and t.name
        }
        return {
            name: self.described[name].message_bytes_max
            for name in written
            if name in self.described
        }


def ensure_topics(admin: Admin, plans: Sequence[Plan], settings: WorkerSettings) -> TopicsInUse:
    """Describe every topic of the plans, and create what is missing and may be created.

    Raises:
        SettingsError: naming every topic that is missing, and what to do.
    """
    existing = _with_feeds(admin, plans, settings)
    missing: list[str] = []
    to_create: dict[str, NewTopic] = {}
    for plan in plans:
        sources = admin.describe(_source_names(plan, existing))
        counts = task_counts(plan, existing, settings.partitions)
        for topic in plan.topics:
            if topic.name is None or topic.name in existing or topic.name in to_create:
                continue
            if topic.is_internal or settings.create_topics:
                to_create[topic.name] = _new_topic(topic, sources, counts, settings)
            else:
                missing.append(
                    f"flow '{plan.name}' {_verb(topic)} topic '{topic.name}', which does not exist"
                    f"{did_you_mean(topic.name, existing)}"
                )
    if missing:
        raise SettingsError(
            "\n".join(
                [*missing, "create what is missing, or start the worker with --create-topics"]
            )
        )
    if to_create:
        admin.create(list(to_create.values()))
    names = {topic.name for plan in plans for topic in plan.topics if topic.name}
    for plan in plans:
        names |= set(_source_names(plan, existing))
    in_use = TopicsInUse(admin.describe(sorted(names)))
    problems = [text for plan in plans for text in _partition_problems(plan, in_use.partitions)]
    if problems:
        raise SettingsError("\n".join(problems))
    return in_use


def _with_feeds(admin: Admin, plans: Sequence[Plan], settings: WorkerSettings) -> dict[str, int]:
    """The topics there are, those of feeds created where they were not."""
    existing = admin.topics()
    wanted = {
        topic.name: NewTopic(
            name=topic.name,
            partitions=topic.partitions or settings.partitions,
            config=dict(topic.config),
        )
        for plan in plans
        for _, feed in feeds_of(plan)
        for topic in feed.topics()
        if topic.name not in existing
    }
    if not wanted:
        return existing
    admin.create(list(wanted.values()))
    return {**existing, **{name: topic.partitions for name, topic in wanted.items()}}


def task_counts(plan: Plan, existing: Mapping[str, int], default: int) -> dict[str, int]:
    """How many partitions the topics need that headrace creates for state: those in front of keyed stages, and changelogs.

    A repartition topic has as many as what else its stage reads, or else as the largest source; a changelog as many as
    there are tasks.
    """
    found: dict[str, int] = {}
    largest = max((_count(s, existing, default) for s in _direct(plan.sub_topologies)), default=0)
    for sub in plan.sub_topologies:
        direct = max((_count(source, existing, default) for source in _direct([sub])), default=0)
        for source in sub.sources:
            if source.is_link:
                topic = source.topics[0]
                found[topic] = existing.get(topic, direct or largest or default)
            elif source.via == "table":
                found[source.topics[0]] = existing.get(source.topics[0], direct or default)
        tasks = max((found[s.topics[0]] for s in sub.sources if s.is_link), default=0)
        for store in plan.stores:
            if store.sub_topology == sub.id:
                found[store.changelog] = max(direct, tasks) or default
    return found


def _direct(subs: Iterable[SubTopology]) -> list[PlannedSource]:
    return [source for sub in subs for source in sub.sources if not source.is_link]


def _count(source: PlannedSource, existing: Mapping[str, int], default: int) -> int:
    if source.pattern:
        pattern = re2.compile(source.pattern)
        return max((n for name, n in existing.items() if pattern.fullmatch(name)), default=0)
    known = [existing[topic] for topic in source.topics if topic in existing]
    return max(known, default=0 if source.via == "table" else default)


def _partition_problems(plan: Plan, counts: Mapping[str, int]) -> Iterable[str]:
    """What keeps the records of one key from coming to one task."""
    for sub in plan.sub_topologies:
        if not sub.keyed:
            continue
        read = {t: counts[t] for source in sub.sources for t in source.topics if t in counts}
        for source in sub.sources:
            if source.pattern:
                pattern = re2.compile(source.pattern)
                own = {t.name for t in plan.topics if t.role != "source"}
                read |= {
                    name: count
                    for name, count in counts.items()
                    if pattern.fullmatch(name) and name not in own
                }
        if len(set(read.values())) > 1:
            told = ", ".join(f"'{topic}' has {count}" for topic, count in read.items())
            stages = ", ".join(f"'{name}'" for name in sub.keyed)
            yield (
                f"flow '{plan.name}': {stages} needs equal partition counts of what it reads, so that one key is in one place:"
                f" {told}; give the stage a `key` (or `left_key` and `right_key`), which repartitions, or make the counts equal"
            )
        for store in plan.stores:
            tasks = max(read.values(), default=0)
            if store.sub_topology == sub.id and counts.get(store.changelog, tasks) != tasks:
                yield (
                    f"flow '{plan.name}': stage '{store.stage}' has state for {counts[store.changelog]} partitions,"
                    f" but reads {tasks} now; the state of a key would be in another place: go back to as many, or"
                    f" {anew(plan, store)}"
                )


def new_output(
    name: str, sources: Mapping[str, TopicDescription], settings: WorkerSettings
) -> NewTopic:
    """How a topic that flows write to is created: as many partitions as they read, records kept as long and as large."""
    config = {}
    retention = [source.retention_ms for source in sources.values()]
    if retention:
        config["retention.ms"] = FOREVER if -1 in retention else str(max(retention))
    largest = max((source.message_bytes_max for source in sources.values()), default=0)
    if largest > MESSAGE_BYTES_DEFAULT:
        config["max.message.bytes"] = str(largest)
    return NewTopic(name=name, partitions=_partitions(sources, settings), config=config)


def _new_topic(
    topic: PlannedTopic,
    sources: Mapping[str, TopicDescription],
    counts: Mapping[str, int],
    settings: WorkerSettings,
) -> NewTopic:
    assert topic.name
    if topic.role == "source":
        return NewTopic(name=topic.name, partitions=settings.partitions)
    if topic.role == "table":
        count = counts.get(topic.name, settings.partitions)
        return NewTopic(name=topic.name, partitions=count, config={"cleanup.policy": "compact"})
    if topic.role == "changelog":
        return NewTopic(name=topic.name, partitions=counts[topic.name], config=CHANGELOG)
    new = new_output(topic.name, sources, settings)
    if topic.role == "repartition":
        new = replace(new, partitions=counts[topic.name])
    if topic.is_internal:
        # Kept for ever: link topics are purged after use, and dead letters are deleted by people.
        return NewTopic(
            name=new.name, partitions=new.partitions, config={**new.config, "retention.ms": FOREVER}
        )
    return new


def _partitions(sources: Mapping[str, TopicDescription], settings: WorkerSettings) -> int:
    return max((source.partitions for source in sources.values()), default=settings.partitions)


def _source_names(plan: Plan, existing: Iterable[str]) -> list[str]:
    names: dict[str, None] = {}
    for sub in plan.sub_topologies:
        for source in sub.sources:
            if source.is_link:
                continue
            names.update(dict.fromkeys(source.topics))
            if source.pattern:
                pattern = re2.compile(source.pattern)
                names.update(dict.fromkeys(name for name in existing if pattern.fullmatch(name)))
    return list(names)


def _verb(topic: PlannedTopic) -> str:
    return "reads" if topic.role in READ_ONLY else "writes to"


@dataclass(frozen=True)
class Expiry:
    """The shortest time for which records of one topic's flow are kept where it writes them with their event time."""

    sink: str
    retention_ms: int
    stage: str
    flow: str


def expiries(plans: Sequence[Plan], topics: TopicsInUse) -> dict[str, Expiry]:
    """Per flow, the sink whose retention is shortest, among those that keep event times and refuse to lose records."""
    found: dict[str, Expiry] = {}
    for plan in plans:
        for node in plan.graph.nodes:
            if not isinstance(node.action, InlineAction):
                continue
            for sink in node.action.sinks():
                retention = _retention_ms(sink, topics)
                known = found.get(plan.name)
                if retention >= 0 and (known is None or retention < known.retention_ms):
                    found[plan.name] = Expiry(str(sink.topic), retention, node.name, plan.name)
    return found


def _retention_ms(sink: Sink, topics: TopicsInUse) -> int:
    topic = topics.described.get(sink.topic or "")
    if (
        topic is None
        or not sink.keeps_event_time
        or sink.allows_expired
        or topic.is_stamped_by_broker
    ):
        return -1
    return topic.retention_ms
