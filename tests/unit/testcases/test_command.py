import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.runtime.cli.main import headrace

FLOW = """
name: big
stages:
  - {name: source, action: kafka, config: {topics: in}, out: big}
  - {name: big, action: filter, config: {where: event.n > 1}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "big.yaml").write_text(FLOW)
    return tmp_path


def run(folder: Path, tests: str, *options: str) -> Result:
    (folder / "big.test.yaml").write_text(tests)
    return CliRunner().invoke(headrace, ["test", str(folder), *options])


PASSING = "tests: [{name: passes, input: [{value: {n: 2}}], expect: {out: [{value: {n: 2}}]}}]"


def test_passing_tests_exit_with_0(folder: Path) -> None:
    result = run(folder, PASSING)

    assert result.exit_code == 0
    assert "1 passed; coverage 80 %" in result.stdout


def test_a_failing_test_exits_with_1(folder: Path) -> None:
    assert run(folder, PASSING.replace("n: 2}}]}", "n: 3}}]}")).exit_code == 1


def test_too_little_coverage_exits_with_1(folder: Path) -> None:
    enough = run(folder, PASSING, "--min-coverage", "80")
    too_little = run(folder, PASSING, "--min-coverage", "81")

    assert (enough.exit_code, too_little.exit_code) == (0, 1)
    assert "filter 'big' never dropped a record" in too_little.stdout
    assert "coverage is below 81 %" in too_little.stdout


def test_a_flow_without_tests_is_no_success(folder: Path) -> None:
    result = CliRunner().invoke(headrace, ["test", str(folder / "big.yaml")])

    assert result.exit_code == 1
    assert "no tests; write them into" in result.stdout


def test_a_mistake_in_a_file_of_tests_exits_with_3(folder: Path) -> None:
    result = run(folder, "tests: [{nme: x}]")

    assert result.exit_code == 3
    assert "did you mean 'name'?" in result.stderr


def test_json_is_one_document(folder: Path) -> None:
    document = json.loads(run(folder, PASSING, "--json").stdout)

    assert document["passed"] == 1
    assert document["coverage"] == 80
