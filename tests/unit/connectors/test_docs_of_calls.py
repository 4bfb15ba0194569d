"""What docs/calls.md shows is a flow, or a stage of one, in which nothing is wrong."""

import re
from pathlib import Path
from textwrap import indent

import pytest

from headrace.runtime.graph import check_flows
from tests.unit.running import flows_of

PAGE = Path(__file__).parents[3] / "docs" / "calls.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
TRIGGER = "name: flow\nstages:\n  - {name: source, action: kafka, config: {topics: in}, out: %s}\n"
SINK = "  - {name: sink, action: publish, config: {topic: out}}\n"


def flow_of(block: str) -> str:
    """The block with what it leaves out: the flow around a stage, and the action around a config."""
    if block.startswith("name:"):
        return block
    if block.startswith("config:"):
        block = "- name: one\n  action: http\n" + indent(block, "  ")
    names = re.findall(r"^- name: (\w+)", block, re.MULTILINE)
    stages = indent(block, "  ")
    sink = SINK if "out: sink" in block else ""
    return TRIGGER % f"[{', '.join(names)}]" + stages + sink


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_what_the_page_shows_is_accepted(block: str) -> None:
    (graph,) = check_flows(flows_of(flow_of(block)))

    assert len(graph.nodes) >= 2
