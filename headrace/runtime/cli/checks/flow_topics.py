"""Checks of the topics of flows, as they are on the cluster."""

import shlex
from collections.abc import Iterable, Iterator, Sequence

from headrace.runtime.cli.against import topics_of_stages
from headrace.runtime.cli.checks.finding import Finding, fail, ok, warn
from headrace.runtime.cli.checks.state_topics import check_orphans, check_state_topics
from headrace.runtime.cli.lag import LagLook
from headrace.runtime.cli.live_plan import ReadingAdmin, late_warnings, records_older_than
from headrace.runtime.cli.planning import kept_for, pattern_matches
from headrace.runtime.cli.topics import records_of
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Admin, Broker, TopicDescription
from headrace.runtime.deadletters import Choice, LetterBox
from headrace.runtime.errors import SettingsError
from headrace.runtime.plan import Plan
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.topics import TopicsInUse, ensure_topics, expiries

LETTERS_COUNTED = 10_000
"""Of more letters than that it is not looked which of them are dealt with."""


def check_flow(
    plan: Plan, broker: Broker, admin: Admin, settings: WorkerSettings, nodes: int
) -> Iterator[Finding]:
    """Everything about the topics of one flow. `nodes` is the number of brokers in the cluster.

    Raises:
        HeadraceError: the cluster did not answer.
    """
    reading = ReadingAdmin(admin)
    try:
        topics = ensure_topics(reading, [plan], settings.model_copy(update={"create_topics": True}))
    except SettingsError as error:
        remedy = "a worker refuses to start with them; the message says how to go on"
        yield fail(f"{plan.name}: topics", str(error), remedy)
        return
    yield from _missing(plan, [new.name for new in reading.asked])
    yield from _patterns(plan, topics)
    yield from _replication(plan, topics.described.values(), nodes)
    yield from _retention(plan, topics, admin)
    yield from _sizes(plan, topics)
    yield from _timestamps(plan, topics)
    yield from _late(plan, topics, admin)
    yield from check_state_topics(plan, topics.described)
    yield from check_orphans(plan, topics_of_stages(plan, [plan], admin.topics(), admin))
    yield from _dead_letters(plan, topics, broker, admin, settings)
    with LagLook(broker, admin, settings.client) as look:
        yield _progress(plan, look)


def _named(plan: Plan, role: str, topics: TopicsInUse) -> list[TopicDescription]:
    names = {topic.name for topic in plan.topics if topic.role == role and topic.name}
    if role == "source":
        names.update(pattern_matches(plan, topics.described))
    return [topic for name, topic in sorted(topics.described.items()) if name in names]


def _missing(plan: Plan, missing: Sequence[str]) -> Iterator[Finding]:
    name = f"{plan.name}: topics"
    internal = {topic.name for topic in plan.topics if topic.is_internal}
    users = [topic for topic in missing if topic not in internal]
    if users:
        yield fail(
            name,
            f"missing: {', '.join(users)}",
            "create them, or run with --create-topics; `headrace plan --live` shows how",
        )
    elif missing:
        yield ok(name, f"all there, but {', '.join(missing)}, which the first worker creates")
    else:
        yield ok(name, "all there")


def _patterns(plan: Plan, topics: TopicsInUse) -> Iterator[Finding]:
    for sub in plan.sub_topologies:
        for source in sub.sources:
            if source.pattern and not pattern_matches(plan, topics.described):
                yield warn(
                    f"{plan.name}: pattern",
                    f"no topic matches {source.pattern!r} of stage '{source.stage}'",
                    "create one, or correct the pattern; topics that come later are found by themselves",
                )


def _replication(plan: Plan, topics: Iterable[TopicDescription], nodes: int) -> Iterator[Finding]:
    single = [topic.name for topic in topics if topic.replication_factor == 1]
    if nodes > 1 and single:
        yield warn(
            f"{plan.name}: replication",
            f"one copy only, on a cluster of {nodes} brokers: {', '.join(sorted(single))}",
            "raise the replication factor: the loss of one broker would stop the flow, and a crash of one may cost records that"
            " Kafka 4.3 has just committed (KAFKA-20734)",
        )


def _retention(plan: Plan, topics: TopicsInUse, admin: Admin) -> Iterator[Finding]:
    name = f"{plan.name}: retention"
    expiry = expiries([plan], topics).get(plan.name)
    if expiry is None:
        return
    kept = kept_for(expiry.retention_ms)
    old = records_older_than(plan, expiry.retention_ms, topics, admin)
    if not old:
        yield ok(
            name, f"no unread record is older than the {kept} for which '{expiry.sink}' keeps it"
        )
        return
    where = ", ".join(f"{count:,} in '{topic}'" for topic, count in old.items())
    yield fail(
        name,
        f"unread records are older than the {kept} for which '{expiry.sink}' keeps what stage '{expiry.stage}' writes: {where}",
        "set retention.ms=-1 or message.timestamp.type=LogAppendTime on that topic, or `timestamp: now` on the stage",
    )


def _sizes(plan: Plan, topics: TopicsInUse) -> Iterator[Finding]:
    sources = _named(plan, "source", topics)
    largest = max(sources, key=lambda topic: topic.message_bytes_max, default=None)
    for role in ("sink", "late", "dead_letter", "link", "repartition"):
        for topic in _named(plan, role, topics):
            if largest and topic.message_bytes_max < largest.message_bytes_max:
                yield warn(
                    f"{plan.name}: record size",
                    f"'{topic.name}' takes records of {topic.message_bytes_max:,} bytes, while '{largest.name}' may have"
                    f" {largest.message_bytes_max:,}",
                    f"set max.message.bytes={largest.message_bytes_max} on '{topic.name}'",
                )


def _timestamps(plan: Plan, topics: TopicsInUse) -> Iterator[Finding]:
    for topic in _named(plan, "sink", topics):
        if topic.is_stamped_by_broker:
            yield warn(
                f"{plan.name}: timestamps",
                f"'{topic.name}' replaces event times with the time of writing",
                "set message.timestamp.type=CreateTime on it when its readers need event times",
            )


def _late(plan: Plan, topics: TopicsInUse, admin: Admin) -> Iterator[Finding]:
    for warning in late_warnings(plan, topics, admin):
        yield warn(f"{plan.name}: late records", warning, "set retention.ms=-1 on that topic")


def _dead_letters(
    plan: Plan, topics: TopicsInUse, broker: Broker, admin: Admin, settings: WorkerSettings
) -> Iterator[Finding]:
    found = records_of(admin, _named(plan, "dead_letter", topics))
    for name, count in found.items():
        about = f"{count:,} at most"
        if 0 < count <= LETTERS_COUNTED:
            with LetterBox(broker, settings.client, name, SystemClock()) as box:
                count = sum(1 for _ in box.letters(Choice()))
            about = f"{count:,}"
        if count:
            yield warn(
                f"{plan.name}: dead letters",
                f"{about} wait in '{name}'",
                f"`headrace dlq ls {shlex.quote(plan.name)}` tells why",
            )
        else:
            yield ok(f"{plan.name}: dead letters", "none")


def _progress(plan: Plan, look: LagLook) -> Finding:
    found = look.lags([plan.group])[plan.group]
    behind = f"{sum(found.values()):,} records behind" if found else "has not started"
    return ok(f"{plan.name}: group", f"'{plan.group}' {behind}")
