import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from headrace.runtime.cli.main import ENTRIES, headrace
from headrace.runtime.errors import (
    BrokerUnavailableError,
    DataLossError,
    FencedError,
    FlowStoppedError,
    HeadraceError,
    RestartError,
    SettingsError,
)
from tests.unit.cli.conftest import Call


def python(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_help_lists_every_command_and_every_exit_code(call: Call) -> None:
    result = call("--help")

    assert result.exit_code == 0
    for name, entry in ENTRIES.items():
        assert f"  {name} " in result.stdout
        assert entry.help in result.stdout
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130 "):
        assert f"{code}" in result.stdout.partition("Exit codes")[2]


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_has_help(call: Call, name: str) -> None:
    result = call(name, "--help")

    assert result.exit_code == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize("name", sorted(set(ENTRIES) - {"broker", "demo"}))
def test_the_help_of_a_command_has_an_example(call: Call, name: str) -> None:
    result = call(name, "-h")

    assert f"headrace {name}" in result.stdout.partition("Example")[2]


def test_help_imports_no_library_but_click(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from headrace.runtime.cli.main import main\n"
        "sys.argv = ['headrace', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'rich', 'pydantic', 'confluent_kafka', 'orjson', 'yaml', 'asyncio', 'uvloop', 're2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    assert python("-c", code, folder=tmp_path).stdout.splitlines()[-1] == "[]"


def test_a_misspelt_command_is_suggested(call: Call) -> None:
    result = call("paln")

    assert result.exit_code == 2
    assert "there is no command 'paln'; did you mean 'plan'?" in result.stderr


def test_a_usage_error_is_json_with_json(call: Call) -> None:
    result = call("run", "--json", "--processes", "many", "orders.yaml")

    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "BadParameter"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HeadraceError("it"), 1),
        (SettingsError("it"), 4),
        (BrokerUnavailableError("it"), 5),
        (DataLossError("it"), 6),
        (FlowStoppedError("it"), 6),
        (RestartError("it"), 7),
        (FencedError("it"), 7),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_ends_a_command_with_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("headrace.runtime.cli.planning.check_paths", fails)

    assert call("validate", "orders.yaml").exit_code == code


def test_a_mistake_of_ours_has_a_traceback_with_debug_only(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("headrace.runtime.cli.planning.check_paths", fails)

    plain = call("validate", "orders.yaml")
    before = call("--debug", "validate", "orders.yaml")
    behind = call("validate", "orders.yaml", "--debug")

    assert plain.exit_code == before.exit_code == behind.exit_code == 1
    assert "error: ZeroDivisionError: by zero" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in before.stderr
    assert "Traceback" in behind.stderr


def test_a_flow_finds_functions_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text("def add(event): return event\n")
    (tmp_path / "orders.yaml").write_text(
        """
        name: orders
        stages:
          - {name: in, action: kafka, config: {topics: orders}, out: call}
          - {name: call, action: map, config: {call: "prices:add"}, out: out}
          - {name: out, action: publish, config: {topic: totals}}
        """
    )

    found = python("-m", "headrace", "validate", "orders.yaml", folder=tmp_path)

    assert (found.returncode, found.stderr) == (0, "")


def test_output_that_is_no_terminal_has_no_colours(tmp_path: Path) -> None:
    found = python("-m", "headrace", "validate", "missing.yaml", folder=tmp_path)

    assert found.returncode == 3
    assert found.stderr == "error: missing.yaml: there is no such file or folder\n"
    assert found.stdout == ""


def test_version_is_that_of_the_package(call: Call) -> None:
    option, command = call("--version"), call("version", "--json")

    assert option.stdout == f"headrace {json.loads(command.stdout)['headrace']}\n"


def test_shell_completion_knows_the_commands(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "headrace"],
        cwd=tmp_path,
        env={
            **os.environ,
            "_HEADRACE_COMPLETE": "bash_complete",
            "COMP_WORDS": "headrace pl",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.stdout == "plain,plan\n"


def test_the_group_says_of_a_command_what_the_command_says_of_itself() -> None:
    context = click.Context(headrace)
    for name, entry in ENTRIES.items():
        command = headrace.get_command(context, name)

        assert command is not None
        first = (command.help or "").partition("\n")[0].rstrip(".")
        assert first.partition(",")[0].split()[0] == entry.help.split()[0]
