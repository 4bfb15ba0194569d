"""The plan as a Mermaid flowchart, which Markdown viewers draw."""

from headrace.runtime.plan.drawing import Kind, arrows, stage_ids, sub_id, topic_ids
from headrace.runtime.plan.model import Plan
from headrace.runtime.plan.text import ROLES

ARROWS: dict[Kind, str] = {
    "flow": "-->",
    "route": "-->|route|",
    "late": "-->|late|",
    "error": "-.->|error|",
    "dead_letter": "-.->",
    "state": "-.-",
}


def plan_mermaid(plan: Plan) -> str:
    """One `flowchart`: a subgraph per sub-topology, topics as cylinders, without a newline at the end."""
    stages = stage_ids(plan)
    lines = ["flowchart LR"]
    for topic, key in zip(plan.topics, topic_ids(plan), strict=True):
        lines.append(f"  {key}[({_quoted(topic.text, ROLES[topic.role])})]")
    for sub in plan.sub_topologies:
        lines.append(f'  subgraph {sub_id(sub.id)}["sub-topology {sub.id}"]')
        for name in sub.stages:
            node = plan.graph.by_name[name]
            label = _quoted(name, node.stage.action, node.action.summary())
            lines.append(f"    {stages[name]}[{label}]")
        lines.append("  end")
    lines += [f"  {arrow.start} {ARROWS[arrow.kind]} {arrow.end}" for arrow in arrows(plan)]
    return "\n".join(lines)


def _quoted(*lines: str) -> str:
    """A label; what Mermaid would read as syntax or HTML is written as entities."""
    return '"' + "<br/>".join(_escaped(line) for line in lines if line) + '"'


def _escaped(text: str) -> str:
    text = text.replace("#", "#35;").replace("&", "#amp;").replace('"', "#quot;")
    return text.replace("<", "#lt;").replace(">", "#gt;").replace("\n", " ")
