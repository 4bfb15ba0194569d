"""The plan as text for people."""

from collections.abc import Iterator, Mapping, Sequence

from headrace.runtime.contracts.broker import TopicDescription
from headrace.runtime.graph import Node
from headrace.runtime.plan.model import Plan, PlannedTopic, SubTopology

ROLES = {
    "source": "source",
    "table": "table",
    "link": "link",
    "repartition": "repartition",
    "changelog": "changelog",
    "sink": "sink",
    "late": "late records",
    "dead_letter": "dead letters",
}
"""What people call the roles of topics."""


def plan_text(plan: Plan, topics: Mapping[str, TopicDescription] | None = None) -> str:
    """Sub-topologies, topics, stores and warnings, in lines without a newline at the end.

    `topics` are the plan's topics as they are on a cluster; without them, or where one is missing from them, the rule
    for the number of its partitions stands in its place.
    """
    lines = [f"flow {plan.name}  (group {plan.group})"]
    for sub in plan.sub_topologies:
        lines += ["", *_sub_topology(plan, sub)]
    rows = [
        (ROLES[topic.role], topic.text, partitions_text(plan, topic, topics), topic.reason)
        for topic in plan.topics
    ]
    lines += ["", "topics", *_indented(rows)]
    stores = [(store.stage, store.text, f"in {store.changelog}") for store in plan.stores]
    lines += ["", "stores", *(_indented(stores) if stores else ["  none"])]
    if plan.warnings:
        lines += ["", "warnings", *(f"  {warning}" for warning in plan.warnings)]
    return "\n".join(lines)


def partitions_text(
    plan: Plan, topic: PlannedTopic, topics: Mapping[str, TopicDescription] | None
) -> str:
    """How many partitions a topic has, or by which rule that is decided."""
    if topic.name is None:
        return "of each topic that matches" if topic.role == "source" else "of each topic named"
    found = (topics or {}).get(topic.name)
    if found is not None:
        return f"{found.partitions} partition{'s' if found.partitions != 1 else ''}"
    missing = "missing; " if topics is not None else ""
    if topic.role == "source":
        return f"{missing}the topic's own"
    if topic.role == "table":
        is_global = all(_reads_whole_table(plan, name) for name in topic.stages)
        return f"{missing}the topic's own" + (
            "" if is_global else ", equal to what its stage reads"
        )
    if topic.role == "repartition":
        return f"{missing}created with as many as its stage reads, or the largest source has"
    if topic.role == "changelog":
        return f"{missing}created with as many as there are tasks"
    if topic.is_internal:
        return f"{missing}created with as many as the sources have"
    return f"{missing}the topic's own, or as many as the sources have"


def _reads_whole_table(plan: Plan, stage: str) -> bool:
    keyed = plan.graph.by_name[stage].keyed
    table = keyed.table() if keyed is not None else None
    return table is not None and table.is_global


def _sub_topology(plan: Plan, sub: SubTopology) -> Iterator[str]:
    read = [source.text for source in sub.sources]
    for name in sub.keyed:
        keyed = plan.graph.by_name[name].keyed
        table = keyed.table() if keyed is not None else None
        if table is not None and table.is_global:
            read.append(f"{table.topic} (all of it)")
    reads = ", ".join(dict.fromkeys(read))
    writes = ", ".join(sub.sinks)
    yield f"sub-topology {sub.id}  reads {reads}" + (f"; writes {writes}" if writes else "")
    nodes = [plan.graph.by_name[name] for name in sub.stages]
    yield from _indented(
        [(node.name, node.stage.action, node.action.summary(), _way_on(node)) for node in nodes]
    )
    for node in nodes:
        if node.stage.renamed_from:
            yield f"  {node.name} was renamed from {node.stage.renamed_from}, whose topics it keeps"


def _way_on(node: Node) -> str:
    words = [f"-> {', '.join(node.out)}"] if node.out else []
    late = node.keyed.late_stage if node.keyed is not None else None
    routes = [name for name in node.routes if name != late]
    if routes:
        words.append(f"-> {' | '.join(routes)}")
    if late is not None:
        words.append(f"late -> {late}")
    if node.handler is not None:
        words.append(f"on error -> {node.handler}")
    elif node.on_error != "dead_letter":
        words.append(f"on error: {node.on_error}")
    return "  ".join(words)


def _indented(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as columns; a column that is empty in every row is left out."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width]
        yield ("  " + "  ".join(cells)).rstrip()
