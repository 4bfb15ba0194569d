"""Which flows share a consumer group, and what they must agree on."""

from collections.abc import Sequence

from headrace.runtime.contracts.action import InlineAction
from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.plan import Plan


def groups_of(plans: Sequence[Plan]) -> dict[str, list[Plan]]:
    """The plans by group.

    Raises:
        FlowError: flows have one name, or flows of one group cannot share a producer.
    """
    problems: list[Problem] = []
    groups: dict[str, list[Plan]] = {}
    names: dict[str, Plan] = {}
    for plan in plans:
        place = plan.graph.flow.place("name")
        slug = plan.graph.flow.slug
        if slug in names:
            other = names[slug].graph.flow
            problems.append(
                Problem(
                    place,
                    f"flow '{plan.name}' and flow '{other.name}' both become '{slug}' in topic names; rename one",
                )
            )
        names[slug] = plan
        groups.setdefault(plan.group, []).append(plan)
    for members in groups.values():
        asked: dict[str, str] = {}
        for plan in members:
            for node in plan.graph.nodes:
                for sink in node.action.sinks() if isinstance(node.action, InlineAction) else ():
                    if sink.compression:
                        asked.setdefault(
                            sink.compression, f"stage '{node.name}' of flow '{plan.name}'"
                        )
        if len(asked) > 1:
            wishes = " and ".join(f"{who} asks for {what}" for what, who in asked.items())
            problems.append(
                Problem(
                    "",
                    f"one producer has one compression, but {wishes}; choose one, or give the flows groups of their own",
                )
            )
    if problems:
        raise FlowError(problems)
    return groups
