import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.runtime.flow import Flow, load_flows, parse_flows
from headrace.runtime.graph import check_flow
from headrace.runtime.plan import build_plan
from headrace.runtime.testcases import run_tests

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "name", ["orders.yaml", "clicks.yaml", "github.yaml", "daily.yaml", "replicate.yaml"]
)
def test_the_test_cases_of_the_examples_pass(name: str) -> None:
    report = run_tests([EXAMPLES / name])

    assert report.is_passed, report.as_dict()


def test_an_example_that_calls_functions_passes_in_its_own_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "test", "."],
        cwd=EXAMPLES / "functions",
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_flow_of_the_readme_is_the_first_example() -> None:
    (written,) = parse_flows(blocks("yaml")[0], "README.md")

    assert written == load_flows([EXAMPLES / "orders.yaml"])[0]


def test_the_python_of_the_readme_compiles_to_the_plan_of_its_yaml() -> None:
    source = blocks("python")[0].replace("asyncio.run(main())", "")
    names: dict[str, object] = {}
    exec(compile(source, "README.md", "exec"), names)
    built = names["orders"].build()  # type: ignore[attr-defined] # a builder
    assert isinstance(built, Flow)

    (written,) = load_flows([EXAMPLES / "orders.yaml"])

    assert (
        build_plan(check_flow(built)).sub_topologies
        == build_plan(check_flow(written)).sub_topologies
    )
    assert built.stages == written.stages
