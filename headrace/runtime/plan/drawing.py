"""The plan as nodes and arrows: what every drawing of it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.runtime.contracts.action import InlineAction
from headrace.runtime.graph import Node
from headrace.runtime.plan.model import Plan

Kind = Literal["flow", "route", "late", "error", "dead_letter", "state"]


@dataclass(frozen=True)
class Arrow:
    """From one drawn thing to another; the ids are those of `stage_ids`, `topic_ids` and `sub_id`."""

    start: str
    end: str
    kind: Kind


def stage_ids(plan: Plan) -> dict[str, str]:
    """An id of letters, digits and `_` per stage name."""
    return {node.name: f"stage_{i}" for i, node in enumerate(plan.graph.nodes)}


def topic_ids(plan: Plan) -> list[str]:
    """An id per topic, in the order of the plan's topics; a topic has one for each of its roles."""
    return [f"topic_{i}" for i in range(len(plan.topics))]


def sub_id(number: int) -> str:
    """The id of the frame around a sub-topology."""
    return f"sub_{number}"


def arrows(plan: Plan) -> Iterator[Arrow]:
    """Every arrow once, from sources and tables through stages to sinks; then dead letters, and changelogs last."""
    stages = stage_ids(plan)
    topics = {(t.role, t.text): key for t, key in zip(plan.topics, topic_ids(plan), strict=True)}
    for topic, key in zip(plan.topics, topic_ids(plan), strict=True):
        if topic.role in ("source", "table"):
            yield from (Arrow(key, stages[name], "flow") for name in topic.stages)
    links = {text: key for (role, text), key in topics.items() if role in ("link", "repartition")}
    entered: set[str] = set()
    for node in plan.graph.nodes:
        for start, end, kind in _ways_on(plan, node, stages, links):
            yield Arrow(start, end, kind)
            target = next(
                (name for name, topic in plan.link_topics.items() if links[topic] == end), ""
            )
            if target and target not in entered:
                entered.add(target)
                yield Arrow(end, stages[target], "flow")
        if isinstance(node.action, InlineAction):
            for sink in node.action.sinks():
                yield Arrow(stages[node.name], topics["sink", sink.text], "flow")
        if node.keyed is not None and node.keyed.late_topic:
            yield Arrow(stages[node.name], topics["late", node.keyed.late_topic], "late")
    if plan.dead_letter_topic:
        failing = next(topic.stages for topic in plan.topics if topic.role == "dead_letter")
        for sub in plan.sub_topologies:
            if set(sub.stages) & set(failing):
                end = topics["dead_letter", plan.dead_letter_topic]
                yield Arrow(sub_id(sub.id), end, "dead_letter")
    for store in plan.stores:
        yield Arrow(stages[store.stage], topics["changelog", store.changelog], "state")


def _ways_on(
    plan: Plan, node: Node, stages: dict[str, str], links: dict[str, str]
) -> Iterator[tuple[str, str, Kind]]:
    """From a stage to the stages that it sends to, or to the topics in front of them; its own topic last."""
    for target in node.targets:
        is_behind = plan.graph.by_name[target].is_behind_topic(node.name)
        end = links[plan.link_topics[target]] if is_behind else stages[target]
        yield stages[node.name], end, _kind(node, target)
    if node.keyed is not None and node.keyed.sends:
        yield stages[node.name], links[plan.link_topics[node.name]], "flow"


def _kind(node: Node, target: str) -> Kind:
    if target in node.out:
        return "flow"
    if target not in node.routes:
        return "error"
    return "late" if node.keyed is not None and node.keyed.late_stage == target else "route"
