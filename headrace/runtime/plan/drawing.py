"""The plan as nodes and arrows: what every drawing of it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.runtime.contracts.action import InlineAction
from headrace.runtime.plan.model import Plan

Kind = Literal["flow", "route", "error", "dead_letter"]


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
    """Every arrow once: from sources through stages and link topics to sinks, dead letters last."""
    stages = stage_ids(plan)
    topics = {(t.role, t.text): key for t, key in zip(plan.topics, topic_ids(plan), strict=True)}
    for topic, key in zip(plan.topics, topic_ids(plan), strict=True):
        if topic.role == "source":
            yield from (Arrow(key, stages[name], "flow") for name in topic.stages)
    linked: set[str] = set()
    for node in plan.graph.nodes:
        for target in node.targets:
            kind: Kind = "flow"
            if target not in node.out:
                kind = "route" if target in node.routes else "error"
            link = plan.link_topics.get(target)
            if link is None:
                yield Arrow(stages[node.name], stages[target], kind)
                continue
            yield Arrow(stages[node.name], topics["link", link], kind)
            if link not in linked:
                linked.add(link)
                yield Arrow(topics["link", link], stages[target], "flow")
        if isinstance(node.action, InlineAction):
            for sink in node.action.sinks():
                yield Arrow(stages[node.name], topics["sink", sink.text], "flow")
    if plan.dead_letter_topic:
        failing = next(topic.stages for topic in plan.topics if topic.role == "dead_letter")
        for sub in plan.sub_topologies:
            if set(sub.stages) & set(failing):
                end = topics["dead_letter", plan.dead_letter_topic]
                yield Arrow(sub_id(sub.id), end, "dead_letter")
