"""What a run shows, where, and in which form."""

from collections.abc import Sequence

from rich.console import Console

from headrace.runtime.cli.output import print_json_line, stdout
from headrace.runtime.cli.progress import (
    JsonProgress,
    LiveProgress,
    LogProgress,
    NoProgress,
    Progress,
)
from headrace.runtime.cli.summary import print_summary, summary_document
from headrace.runtime.plan import Plan
from headrace.runtime.worker.processes import Report


class RunOutput:
    """Progress and notes on stderr, the summary on stdout; JSON goes to stdout as a whole."""

    def __init__(self, console: Console, *, is_quiet: bool, is_json: bool) -> None:
        self.console = console
        self.is_quiet = is_quiet
        self.is_json = is_json

    @property
    def shows_lag(self) -> bool:
        return self.is_json or not self.is_quiet

    def progress(self, plans: Sequence[Plan]) -> Progress:
        """The display for this output; a live one begins at once."""
        if self.is_json:
            return JsonProgress()
        if self.is_quiet:
            return NoProgress()
        if self.console.is_terminal:
            return LiveProgress(self.console, plans)
        return LogProgress()

    def note(self, text: str) -> None:
        """Say something by the way."""
        if not self.is_quiet:
            self.console.print(text, soft_wrap=True)

    def said(self, process: int, line: str) -> None:
        """Pass on what a worker process has said."""
        self.console.print(f"[{process}] {line}", soft_wrap=True)

    def summary(self, plans: Sequence[Plan], report: Report, seconds: float) -> None:
        """Tell what was done, at the end."""
        if self.is_json:
            print_json_line(summary_document(plans, report, seconds))
        elif not self.is_quiet:
            print_summary(stdout(), plans, report, seconds)
