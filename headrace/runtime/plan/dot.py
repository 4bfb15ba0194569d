"""The plan as a graph in the DOT language of Graphviz."""

from headrace.runtime.plan.drawing import Arrow, Kind, arrows, stage_ids, sub_id, topic_ids
from headrace.runtime.plan.model import Plan
from headrace.runtime.plan.text import ROLES

STYLES: dict[Kind, str] = {
    "flow": "",
    "route": ' [label="route"]',
    "late": ' [label="late"]',
    "error": ' [label="error", style=dashed]',
    "dead_letter": "",
    "state": " [style=dotted, color=gray, arrowhead=none]",
}


def plan_dot(plan: Plan) -> str:
    """One `digraph`: a cluster per sub-topology, topics as cylinders, without a newline at the end."""
    stages = stage_ids(plan)
    lines = [
        f"digraph {_quoted(plan.name)} {{",
        "  rankdir=LR; compound=true;",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    for topic, key in zip(plan.topics, topic_ids(plan), strict=True):
        style = "dashed" if topic.is_internal else "solid"
        if topic.role == "changelog":
            style = "dotted, color=gray, fontcolor=gray"
        label = _label(topic.text, ROLES[topic.role])
        lines.append(f"  {key} [label={label}, shape=cylinder, style={style}];")
    for sub in plan.sub_topologies:
        lines.append(f"  subgraph cluster_{sub_id(sub.id)} {{")
        lines.append(f'    label="sub-topology {sub.id}";')
        for name in sub.stages:
            node = plan.graph.by_name[name]
            label = _label(name, node.stage.action, node.action.summary())
            lines.append(f"    {stages[name]} [label={label}];")
        lines.append("  }")
    lines += [_edge(plan, arrow, stages) for arrow in arrows(plan)]
    return "\n".join([*lines, "}"])


def _edge(plan: Plan, arrow: Arrow, stages: dict[str, str]) -> str:
    if arrow.kind != "dead_letter":
        return f"  {arrow.start} -> {arrow.end}{STYLES[arrow.kind]};"
    # An arrow cannot begin at a cluster: it begins at its last stage and is cut off at the frame.
    sub = next(sub for sub in plan.sub_topologies if sub_id(sub.id) == arrow.start)
    start = stages[sub.stages[-1]]
    return f"  {start} -> {arrow.end} [ltail=cluster_{arrow.start}, style=dotted];"


def _label(*lines: str) -> str:
    return '"' + "\\n".join(_escaped(line) for line in lines if line) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
