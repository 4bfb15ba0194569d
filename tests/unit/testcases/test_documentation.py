"""The examples of docs/testing.md are run."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.runtime.cli.main import headrace
from headrace.runtime.testcases import run_tests

TEXT = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The documents of the page, as files of the current folder."""
    monkeypatch.chdir(tmp_path)
    for language, text in BLOCKS:
        if language == "yaml":
            name = text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(text)
    return tmp_path


def test_the_test_cases_pass_as_shown() -> None:
    (shown,) = [text for language, text in BLOCKS if language == "console"]
    command, _, output = shown.partition("\n")

    result = CliRunner().invoke(headrace, command.removeprefix("$ headrace ").split())

    assert result.stdout == output


def test_a_failure_reads_as_shown(folder: Path) -> None:
    (shown,) = [text for language, text in BLOCKS if language == "text"]
    tests = folder / "orders.test.yaml"
    tests.write_text(tests.read_text().replace("total: 240", "total: 250"))

    result = CliRunner().invoke(headrace, ["test", "orders.yaml"])

    assert shown in result.stdout
    assert not run_tests([folder]).is_passed


@pytest.mark.parametrize("source", PYTHON)
def test_the_python_examples_run(source: str) -> None:
    exec(compile(source, "docs/testing.md", "exec"), {})
