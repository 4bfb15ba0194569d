"""What is written of schedules is so."""

import re
from pathlib import Path

from headrace.runtime.flow import parse_flows
from headrace.runtime.graph import check_flows
from headrace.runtime.testcases import run_tests

ROOT = Path(__file__).parents[4]


def test_the_flows_of_the_page_are_right() -> None:
    text = (ROOT / "docs" / "schedules.md").read_text("utf-8")
    flows = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)

    assert [graph.flow.name for one in flows for graph in check_flows(parse_flows(one))] == [
        "daily"
    ]


def test_the_test_cases_of_the_example_pass() -> None:
    report = run_tests([ROOT / "examples" / "daily.yaml"])

    assert report.is_passed, report.as_dict()
