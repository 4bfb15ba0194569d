"""Fusion: which stages run in one task, and which topics the flow needs in between."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import re2

from headrace.runtime.contracts.action import InlineAction, TriggerAction
from headrace.runtime.flow.model import slug
from headrace.runtime.graph import Graph, Node
from headrace.runtime.plan.model import (
    Plan,
    PlannedSource,
    PlannedStore,
    PlannedTopic,
    SubTopology,
    Via,
    letters_topic,
)

DEFAULT_PREFIX = "headrace"


def build_plan(graph: Graph, prefix: str = DEFAULT_PREFIX) -> Plan:
    """The plan of a checked flow; the same for the same flow, always."""
    flow = graph.flow
    link_topics = {
        node.name: f"{prefix}.{flow.slug}.{node.stage.slug}.{_via(graph, node)}"
        for node in graph.nodes
        if graph.has_topic(node.name)
    }
    needs_dead_letters = any(node.on_error == "dead_letter" for node in graph.nodes)
    dead_letter_topic = letters_topic(prefix, flow) if needs_dead_letters else None
    subs = _sub_topologies(graph, link_topics)
    stores = _stores(graph, subs, prefix)
    return Plan(
        graph=graph,
        prefix=prefix,
        group=f"{prefix}.{slug(flow.group) if flow.group else flow.slug}",
        sub_topologies=subs,
        topics=(*_topics(graph, link_topics, dead_letter_topic), *_changelogs(stores)),
        stores=stores,
        link_topics=link_topics,
        crossing={name: graph.crossing(name) for name in link_topics},
        dead_letter_topic=dead_letter_topic,
        warnings=tuple(_warnings(graph, dead_letter_topic)),
    )


def _sub_topologies(graph: Graph, link_topics: dict[str, str]) -> tuple[SubTopology, ...]:
    members = {node.name: {node.name} for node in graph.nodes}
    for node in graph.nodes:
        for target in node.targets:
            is_fused = not graph.by_name[target].is_behind_topic(node.name)
            if is_fused and members[target] is not members[node.name]:
                members[node.name] |= members[target]
                for name in members[target]:
                    members[name] = members[node.name]
    subs: list[SubTopology] = []
    seen = set[str]()
    for node in graph.nodes:
        if node.name in seen:
            continue
        fused = [other for other in graph.nodes if other.name in members[node.name]]
        seen.update(other.name for other in fused)
        sources = tuple(source for other in fused for source in _sources(graph, other, link_topics))
        first = sources[0].stage if sources else fused[0].name
        subs.append(
            SubTopology(
                id=len(subs),
                name=graph.by_name[first].stage.first_name,
                sources=sources,
                stages=tuple(other.name for other in fused),
                sinks=tuple(_sinks(graph, fused, link_topics)),
                keyed=tuple(other.name for other in fused if other.keyed is not None),
            )
        )
    return tuple(subs)


def _via(graph: Graph, node: Node) -> Via:
    """What kind of topic lies in front of a stage."""
    sends = node.keyed is not None and node.keyed.sends
    is_keyed = sends or any(node.repartitions(sender) for sender in graph.inputs[node.name])
    return "repartition" if is_keyed else "link"


def _sources(graph: Graph, node: Node, link_topics: dict[str, str]) -> Iterator[PlannedSource]:
    if node.name in link_topics:
        topic = link_topics[node.name]
        yield PlannedSource(stage=node.name, topics=(topic,), pattern=None, via=_via(graph, node))
    if isinstance(node.action, TriggerAction):
        source = node.action.source()
        yield PlannedSource(stage=node.name, topics=source.topics, pattern=source.pattern)
    table = node.keyed.table() if node.keyed is not None else None
    if table is not None and not table.is_global:
        yield PlannedSource(stage=node.name, topics=(table.topic,), pattern=None, via="table")


def _sinks(graph: Graph, nodes: list[Node], link_topics: dict[str, str]) -> dict[str, None]:
    found: dict[str, None] = {}
    for node in nodes:
        if isinstance(node.action, InlineAction):
            found.update(dict.fromkeys(sink.text for sink in node.action.sinks()))
        if node.keyed is not None and node.keyed.late_topic:
            found[node.keyed.late_topic] = None
        found.update(
            {
                link_topics[target]: None
                for target in node.targets
                if graph.by_name[target].is_behind_topic(node.name)
            }
        )
    return found


def _topics(
    graph: Graph, link_topics: dict[str, str], dead_letter_topic: str | None
) -> tuple[PlannedTopic, ...]:
    sources: dict[str, list[str]] = {}
    sinks: dict[tuple[str | None, str], list[str]] = {}
    fed: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.action, TriggerAction):
            source = node.action.source()
            feed = node.action.feed()
            if feed is not None:
                fed.update(topic.name for topic in feed.topics())
            for text in source.topics or (f"~ {source.pattern}",):
                sources.setdefault(text, []).append(node.name)
        elif isinstance(node.action, InlineAction):
            for sink in node.action.sinks():
                sinks.setdefault((sink.topic, sink.text), []).append(node.name)
    found = [
        PlannedTopic(
            name=None if text.startswith("~ ") else text,
            text=text,
            role="source",
            stages=tuple(stages),
            reason=f"starts runs at {_quoted(stages)}"
            + (", which writes it by itself" if text in fed else ""),
        )
        for text, stages in sources.items()
    ]
    found += _tables(graph)
    for stage, topic in link_topics.items():
        via = _via(graph, graph.by_name[stage])
        found.append(
            PlannedTopic(
                name=topic,
                text=topic,
                role="repartition" if via == "repartition" else "link",
                stages=(stage,),
                reason=_why_repartitioned(graph, graph.by_name[stage])
                if via == "repartition"
                else f"stage '{stage}' asks for a topic in front of it (link: topic)",
            )
        )
    for (topic_name, text), stages in sinks.items():
        found.append(
            PlannedTopic(
                name=topic_name,
                text=text,
                role="sink",
                stages=tuple(stages),
                reason=f"written by {_quoted(stages)}",
            )
        )
    found += [
        PlannedTopic(
            name=node.keyed.late_topic,
            text=node.keyed.late_topic,
            role="late",
            stages=(node.name,),
            reason=f"records that come too late for stage '{node.name}'",
        )
        for node in graph.nodes
        if node.keyed is not None and node.keyed.late_topic
    ]
    if dead_letter_topic:
        failing = [node.name for node in graph.nodes if node.on_error == "dead_letter"]
        found.append(
            PlannedTopic(
                name=dead_letter_topic,
                text=dead_letter_topic,
                role="dead_letter",
                stages=tuple(failing),
                reason="records that fail in a stage with on_error: dead_letter",
            )
        )
    return tuple(found)


def _why_repartitioned(graph: Graph, node: Node) -> str:
    """Who sends through the topic in front of a keyed stage, and by which key."""
    assert node.keyed is not None
    by: dict[str, list[str]] = {}
    kept: list[str] = []
    for sender in graph.inputs[node.name]:
        key = node.keyed.key(sender)
        if key is not None:
            by.setdefault(key.text, []).append(sender)
        elif node.is_linked:
            kept.append(sender)
    reasons = [f"brings records of {_quoted(names)} together by {key}" for key, names in by.items()]
    if kept:
        reasons.append(f"takes those of {_quoted(kept)}, too (link: topic)")
    if node.keyed.sends:
        reasons.append(f"carries what '{node.name}' sends to itself under other keys")
    return f"{'; '.join(reasons)}; for stage '{node.name}'"


def _tables(graph: Graph) -> Iterator[PlannedTopic]:
    read: dict[str, list[str]] = {}
    whole: dict[str, list[str]] = {}
    for node in graph.nodes:
        table = node.keyed.table() if node.keyed is not None else None
        if table is not None:
            read.setdefault(table.topic, []).append(node.name)
            if table.is_global:
                whole.setdefault(table.topic, []).append(node.name)
    for topic, stages in read.items():
        all_of_it = (
            f"; all of it by each worker, for {_quoted(whole[topic])}" if topic in whole else ""
        )
        yield PlannedTopic(
            name=topic,
            text=topic,
            role="table",
            stages=tuple(stages),
            reason=f"read as a table by {_quoted(stages)}{all_of_it}",
        )


def _stores(graph: Graph, subs: tuple[SubTopology, ...], prefix: str) -> tuple[PlannedStore, ...]:
    found = []
    for sub in subs:
        for name in sub.keyed:
            node = graph.by_name[name]
            found.append(
                PlannedStore(
                    stage=name,
                    changelog=f"{prefix}.{graph.flow.slug}.{node.stage.slug}.changelog",
                    sub_topology=sub.id,
                    shape=_shape(graph, node),
                    text=f"{node.stage.action} {node.action.summary()}".strip(),
                )
            )
    return tuple(found)


def _shape(graph: Graph, node: Node) -> dict[str, Any]:
    """What the state of a stage looks like, as it comes back out of a store."""
    action, senders = node.keyed, graph.inputs[node.name]
    assert action is not None
    shape = dict(action.shape())
    if not any(name.endswith("key") for name in shape):
        parts = [action.key(sender) for sender in senders]
        keys = sorted({None if part is None else part.text for part in parts}, key=str)
        shape["key"] = keys[0] if len(keys) == 1 else keys
    sides = action.sides(senders)
    if sides:
        shape["sides"] = {
            graph.by_name[name].stage.first_name: side for name, side in sides.items()
        }
    known: dict[str, Any] = orjson.loads(orjson.dumps(shape))
    return known


def _changelogs(stores: tuple[PlannedStore, ...]) -> Iterator[PlannedTopic]:
    for store in stores:
        yield PlannedTopic(
            name=store.changelog,
            text=store.changelog,
            role="changelog",
            stages=(store.stage,),
            reason=f"holds the state of stage '{store.stage}', to restore it from",
        )


def _reader(graph: Graph) -> Callable[[str | None], bool]:
    """Tells whether a trigger of the flow reads a topic."""
    sources = [n.action.source() for n in graph.nodes if isinstance(n.action, TriggerAction)]
    names = {name for source in sources for name in source.topics}
    patterns = [re2.compile(source.pattern) for source in sources if source.pattern]
    return lambda topic: (
        topic is not None
        and (topic in names or any(pattern.fullmatch(topic) for pattern in patterns))
    )


def _warnings(graph: Graph, dead_letter_topic: str | None) -> list[str]:
    found = []
    reads = _reader(graph)
    for node in graph.nodes:
        if isinstance(node.action, InlineAction):
            found += [
                f"stage '{node.name}' writes to '{sink.topic}', which the flow also reads: a record may go round for ever"
                for sink in node.action.sinks()
                if reads(sink.topic)
            ]
        if (
            not node.targets
            and not node.is_trigger
            and type(node.action).__name__ in ("Filter", "Map")
        ):
            found.append(f"what stage '{node.name}' makes goes nowhere; give it an `out`")
    if reads(dead_letter_topic):
        found.append(
            f"the flow '{graph.flow.name}' reads its own dead letters in '{dead_letter_topic}': a record that fails may go"
            " round for ever; name the topics, or choose a pattern that leaves it out"
        )
    return found


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
