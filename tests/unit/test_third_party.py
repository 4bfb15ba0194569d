"""Actions that other packages bring, found through the entry-point group."""

import os
import subprocess
import sys
from pathlib import Path

ACTION = '''
"""An action of another package."""

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction


class ShoutConfig(ActionConfig):
    """Which field."""

    field: str = Field(description="the field to write in capitals")


class Shout(InlineAction):
    """Writes a field in capitals."""

    Config = ShoutConfig

    def emit(self, code: Code) -> None:
        louder = code.variable("event")
        name = repr(self.config.field)
        code.line(f"{louder} = {{**{code.event}, {name}: {code.event}[{name}].upper()}}")
        code.forward(louder, is_owned=True, is_object=True)
'''
FLOW = """
name: shouting
stages:
  - {name: in, action: kafka, config: {topics: in}, out: loud}
  - {name: loud, action: shout, config: {field: word}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
CASES = """
tests:
  - name: the other package's action runs
    input: [{value: {word: hear}}]
    expect: {out: [{value: {word: HEAR}}]}
"""


def headrace(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
        check=False,
    )


def installed(folder: Path) -> None:
    """What `pip install` leaves behind of a package with an action."""
    information = folder / "site" / "shouting-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[headrace.actions]\nshout = shouting:Shout\n")
    (folder / "site" / "shouting.py").write_text(ACTION)
    (folder / "shouting.yaml").write_text(FLOW)
    (folder / "shouting.test.yaml").write_text(CASES)


def test_an_action_of_another_package_is_found_checked_compiled_and_run(tmp_path: Path) -> None:
    installed(tmp_path)

    done = headrace(tmp_path, "test", "shouting.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "shout" in headrace(tmp_path, "actions").stdout


def test_its_config_is_checked_like_that_of_any_action(tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "shouting.yaml").write_text(FLOW.replace("{field: word}", "{feld: word}"))

    done = headrace(tmp_path, "validate", "shouting.yaml")

    assert done.returncode == 3
    assert (
        "shouting.yaml:5: stage 'loud' (shout): unknown key 'feld'; did you mean 'field'?"
        in done.stderr
    )
