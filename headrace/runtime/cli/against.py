"""`headrace plan --against`: what flows had before, from earlier documents or from the topics of running groups."""

from collections.abc import Mapping, Sequence

from headrace.runtime import brokers
from headrace.runtime.cli.planning import plans_of
from headrace.runtime.contracts.broker import Admin, Broker, TopicPartition
from headrace.runtime.plan import Plan
from headrace.runtime.plan.evolution import (
    ROLES,
    EarlierStage,
    Evolution,
    Shape,
    earlier_stages,
    evolution,
    gone,
)
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.state.shapes import shapes_in
from headrace.runtime.worker.topics import task_counts

GROUP = "group"
"""What stands for the running groups where a path of earlier documents could stand."""


def evolutions(plans: Sequence[Plan], against: str, settings: WorkerSettings) -> list[Evolution]:
    """What becomes of each flow's state.

    Raises:
        FlowError: the earlier documents are wrong.
        BrokerUnavailableError: no broker answered.
    """
    if against == GROUP:
        broker = brokers.connect(settings.engine, settings.brokers, settings.client)
        return _against_groups(plans, broker, settings)
    earlier = {plan.graph.flow.slug: plan for plan in plans_of([against], settings.prefix)}
    found = []
    for plan in plans:
        before = earlier.pop(plan.graph.flow.slug, None)
        found.append(evolution(plan, earlier_stages(before) if before else None))
    return found + [gone(plan) for plan in earlier.values()]


def _against_groups(
    plans: Sequence[Plan], broker: Broker, settings: WorkerSettings
) -> list[Evolution]:
    admin = broker.admin()
    try:
        existing = admin.topics()
        topics = [topics_of_stages(plan, plans, existing, admin) for plan in plans]
        shapes = _shapes(broker, admin, topics, existing, settings)
        return [
            evolution(
                plan,
                _earlier(found, shapes, existing) or None,
                task_counts(plan, existing, settings.partitions),
            )
            for plan, found in zip(plans, topics, strict=True)
        ]
    finally:
        admin.close()


def _shapes(
    broker: Broker,
    admin: Admin,
    topics: Sequence[Mapping[str, Mapping[str, str]]],
    existing: Mapping[str, int],
    settings: WorkerSettings,
) -> dict[TopicPartition, Shape]:
    changelogs = [
        TopicPartition(by_role["changelog"], partition)
        for found in topics
        for by_role in found.values()
        if "changelog" in by_role
        for partition in range(existing[by_role["changelog"]])
    ]
    reader = broker.reader(f"{settings.prefix}.plan", settings.client)
    try:
        return shapes_in(reader, admin, changelogs)
    finally:
        reader.close()


def _earlier(
    topics: Mapping[str, Mapping[str, str]],
    shapes: Mapping[TopicPartition, Shape],
    existing: Mapping[str, int],
) -> dict[str, EarlierStage]:
    found = {}
    for slug, by_role in topics.items():
        changelog = by_role.get("changelog", "")
        distinct: list[Shape] = []
        for one, shape in sorted(shapes.items()):
            if one.topic == changelog and shape not in distinct:
                distinct.append(shape)
        found[slug] = EarlierStage(
            topics=by_role, shapes=distinct, partitions=existing.get(changelog)
        )
    return found


def topics_of_stages(
    plan: Plan, plans: Sequence[Plan], existing: Mapping[str, int], admin: Admin
) -> dict[str, dict[str, str]]:
    """The topics on the cluster that belong to stages of this flow, or did: by the stage's slug, then by role.

    Names are made of the flow and the stage with a dot between, and both may have dots. What another flow has is left out:
    one of `plans`, or one whose group has positions.
    """
    others = {topic.name for other in plans if other is not plan for topic in other.topics}
    begin = f"{plan.prefix}.{plan.graph.flow.slug}."
    found: dict[str, dict[str, str]] = {}
    for name in sorted(existing):
        slug, _, role = name.removeprefix(begin).rpartition(".")
        if not name.startswith(begin) or role not in ROLES or not slug or name in others:
            continue
        if name in {topic.name for topic in plan.topics} or not _is_of_another(
            begin + slug, begin, admin
        ):
            found.setdefault(slug, {})[role] = name
    return found


def _is_of_another(name: str, begin: str, admin: Admin) -> bool:
    """Whether a longer flow name fits the beginning of a topic's name, and such a flow has run."""
    at = name.find(".", len(begin))
    while at >= 0:
        if admin.group_positions(name[:at]):
            return True
        at = name.find(".", at + 1)
    return False
