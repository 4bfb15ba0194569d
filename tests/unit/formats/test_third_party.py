"""Formats that other packages bring, found through the entry-point group."""

import os
import subprocess
import sys
from pathlib import Path

FORMAT = '''
"""Lines of fields with a separator between."""

from pydantic import Field

from headrace.runtime.contracts.format import FormatOptions, ValueFormat


class LineOptions(FormatOptions):
    """How fields are told apart."""

    between: str = Field(",", description="what stands between two fields")


class Lines(ValueFormat):
    """A list of texts."""

    Options = LineOptions

    def summary(self):
        return "a line"

    def decoder(self, opening):
        between = self.options.between
        return lambda value: value.decode().split(between)

    def encoder(self, opening, topic):
        between = self.options.between
        return lambda event, topic: None if event is None else between.join(event).encode()
'''
FLOW = """
name: lines
stages:
  - {name: in, action: kafka, config: {topics: in, format: line}, out: sink}
  - {name: sink, action: publish, config: {topic: out, format: {type: line, between: ;}}}
"""
CASES = """
tests:
  - name: the other package's format reads and writes
    input: [{raw: "a,b"}]
    expect: {out: [{raw: "a;b"}]}
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


def test_a_format_of_another_package_is_found_checked_and_used_both_ways(tmp_path: Path) -> None:
    information = tmp_path / "site" / "lining-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: lining\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[headrace.formats]\nline = lining:Lines\n")
    (tmp_path / "site" / "lining.py").write_text(FORMAT)
    (tmp_path / "lines.yaml").write_text(FLOW)
    (tmp_path / "lines.test.yaml").write_text(CASES)

    done = headrace(tmp_path, "test", "lines.yaml")
    (tmp_path / "lines.yaml").write_text(FLOW.replace("between: ;", "betwen: ;"))
    refused = headrace(tmp_path, "validate", "lines.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert refused.returncode == 3
    assert "unknown key 'betwen'; did you mean 'between'?" in refused.stderr
