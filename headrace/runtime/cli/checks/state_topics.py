"""Checks of the topics that headrace keeps state and records on their way in: nothing in them may be deleted."""

from collections.abc import Iterator, Mapping, Sequence

from headrace.runtime.cli.checks.finding import Finding, fail, ok, warn
from headrace.runtime.cli.planning import kept_for
from headrace.runtime.contracts.broker import TopicDescription
from headrace.runtime.plan import Plan, PlannedTopic
from headrace.runtime.plan.evolution import EarlierStage, evolution


def check_state_topics(plan: Plan, topics: Mapping[str, TopicDescription]) -> Iterator[Finding]:
    """What would lose state, or move records in time."""
    problems = [
        finding
        for planned in plan.topics
        if planned.name and (topic := topics.get(planned.name)) is not None
        for finding in _topic(plan, planned, topic)
    ]
    yield from problems
    if plan.stores and not any(one.status == "fail" for one in problems):
        yield ok(f"{plan.name}: state", f"kept in {len(plan.stores)} changelogs")


def _topic(plan: Plan, planned: PlannedTopic, topic: TopicDescription) -> Iterator[Finding]:
    policy = {one.strip() for one in topic.config.get("cleanup.policy", "delete").split(",")}
    if planned.role == "changelog" and policy != {"compact"}:
        yield fail(
            f"{plan.name}: state",
            f"the changelog '{topic.name}' has cleanup.policy={','.join(sorted(policy))}: the broker deletes the state of stage"
            f" '{planned.stages[0]}'" + _after(topic),
            "set cleanup.policy=compact on it; what is deleted already cannot be brought back",
        )
    if planned.role in ("repartition", "link") and topic.retention_ms >= 0:
        yield fail(
            f"{plan.name}: {planned.role} topic",
            f"'{topic.name}' keeps records for {kept_for(topic.retention_ms)} from their event time, and deletes older ones"
            f" before stage '{planned.stages[0]}' has read them",
            "set retention.ms=-1 on it; headrace deletes its records after use",
        )
    if planned.role in ("repartition", "link") and "compact" in policy:
        yield fail(
            f"{plan.name}: {planned.role} topic",
            f"'{topic.name}' is compacted: of the records of a key only the last one may reach stage '{planned.stages[0]}'",
            "set cleanup.policy=delete and retention.ms=-1 on it",
        )
    if planned.role in ("repartition", "link") and topic.is_stamped_by_broker:
        yield fail(
            f"{plan.name}: {planned.role} topic",
            f"'{topic.name}' replaces event times with the time of writing, which stage '{planned.stages[0]}' would go by",
            "set message.timestamp.type=CreateTime on it",
        )
    if planned.role == "table" and "compact" not in policy and topic.retention_ms >= 0:
        yield warn(
            f"{plan.name}: table",
            f"'{topic.name}' is read as a table, but its rows are deleted after {kept_for(topic.retention_ms)}: a worker that"
            " restores from it misses them",
            "set cleanup.policy=compact on it",
        )


def _after(topic: TopicDescription) -> str:
    return f" after {kept_for(topic.retention_ms)}" if topic.retention_ms >= 0 else ""


def check_orphans(plan: Plan, topics: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Topics of stages that the flow does not have any more; `topics` are by the stage's slug and role."""
    earlier = {slug: EarlierStage(topics=by_role) for slug, by_role in topics.items()}
    left: Sequence[str] = [
        topic
        for change in evolution(plan, earlier).changes
        if change.status == "orphaned"
        for topic in change.topics
    ]
    if left:
        yield warn(
            f"{plan.name}: left behind",
            f"no stage has these topics any more: {', '.join(left)}",
            "`headrace reset --orphaned` deletes them; a stage that was renamed names the old one in `renamed_from`",
        )
