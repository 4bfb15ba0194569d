"""The supervisor, with small scripts in place of workers."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.runtime.errors import (
    FlowError,
    FlowStoppedError,
    HeadraceError,
    Problem,
    RestartError,
    SettingsError,
)
from headrace.runtime.worker import processes
from headrace.runtime.worker.processes import Report, Supervisor, error_of, report_of, total

REPORT = Report(
    records_read=5,
    commits=2,
    partitions=3,
    written={("orders", "totals"): 4},
    failed={("orders", "large", "skip"): 1},
)
PROGRESS = json.dumps({"type": "progress", **REPORT.document()})
UNTIL_STOPPED = "import sys; print('ready', file=sys.stderr, flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSE_S", 0.0)


def supervise(
    *scripts: str, said: Callable[[Supervisor, int, str], None] | None = None
) -> Supervisor:
    """Run scripts to the end; `said` may stop them."""
    made: list[Supervisor] = []

    def hear(number: int, line: str) -> None:
        if said:
            said(made[0], number, line)

    async def run() -> None:
        commands = [[sys.executable, "-c", script] for script in scripts]
        made.append(Supervisor(commands, stop_timeout_s=10, said=hear))
        await made[0].run()

    asyncio.run(run())
    return made[0]


def starts(path: Path, then: str) -> str:
    """A script that notes each of its starts in a file, and then does something."""
    return f"open({str(path)!r}, 'a').write('x'); {then}"


def test_a_report_crosses_processes_unchanged() -> None:
    assert report_of(json.loads(json.dumps(REPORT.document()))) == REPORT


def test_reports_are_summed() -> None:
    both = total([REPORT, REPORT])

    assert (both.records_read, both.partitions) == (10, 6)
    assert both.written == {("orders", "totals"): 8}
    assert both.failed == {("orders", "large", "skip"): 2}


def test_what_ended_processes_have_done_still_counts() -> None:
    supervisor = supervise(f"print({PROGRESS!r})", f"print({PROGRESS!r})")

    assert supervisor.report().records_read == 10
    assert supervisor.report().partitions == 0
    assert supervisor.process_ids() == []


def test_a_process_that_asks_for_it_is_started_again(tmp_path: Path) -> None:
    starts_file = tmp_path / "starts"
    script = starts(
        starts_file,
        f"print({PROGRESS!r}); import sys; sys.exit(7 if len(open({str(starts_file)!r}).read()) < 3 else 0)",
    )

    supervisor = supervise(script)

    assert starts_file.read_text() == "xxx"
    assert supervisor.report().records_read == 15


def test_a_process_that_was_killed_is_started_again(tmp_path: Path) -> None:
    starts_file = tmp_path / "starts"
    script = starts(
        starts_file,
        f"import os; len(open({str(starts_file)!r}).read()) < 2 and os.kill(os.getpid(), 9)",
    )

    supervise(script)

    assert starts_file.read_text() == "xx"


def test_a_process_is_given_up_after_five_restarts_within_a_minute(tmp_path: Path) -> None:
    starts_file = tmp_path / "starts"

    with pytest.raises(RestartError, match="process 0 ended with exit code 7"):
        supervise(starts(starts_file, "import sys; sys.exit(7)"))

    assert starts_file.read_text() == "x" * 6


def test_an_error_that_a_new_process_would_meet_again_stops_all(tmp_path: Path) -> None:
    error = {"error": {"type": "FlowStoppedError", "message": "it stopped", "problems": []}}
    starts_file = tmp_path / "starts"
    failing = starts(starts_file, f"print({json.dumps(error)!r}); import sys; sys.exit(6)")

    with pytest.raises(FlowStoppedError, match="it stopped"):
        supervise(failing, UNTIL_STOPPED)

    assert starts_file.read_text() == "x"


def test_processes_that_are_stopped_are_not_started_again() -> None:
    heard = []

    def stop(supervisor: Supervisor, number: int, line: str) -> None:
        heard.append((number, line))
        if len(heard) == 2:
            supervisor.stop()

    supervise(UNTIL_STOPPED, UNTIL_STOPPED, said=stop)

    assert sorted(heard) == [(0, "ready"), (1, "ready")]


def test_a_process_that_does_not_stop_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "KILL_AFTER_S", -9.8)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {UNTIL_STOPPED}"

    with pytest.raises(RestartError, match="process 0 did not stop within 10 s"):
        supervise(deaf, said=lambda supervisor, _, __: supervisor.stop())


def test_what_a_process_prints_that_is_no_report_is_passed_on() -> None:
    heard = []

    supervise("print('hello'); print('[1]')", said=lambda _, __, line: heard.append(line))

    assert heard == ["hello", "[1]"]


def test_a_process_that_cannot_be_started_ends_all() -> None:
    async def run() -> None:
        await Supervisor([["/nowhere"]], stop_timeout_s=1, said=lambda *_: None).run()

    with pytest.raises(HeadraceError, match="process 0 could not be started"):
        asyncio.run(run())


def test_errors_of_other_processes_keep_their_class_and_problems() -> None:
    problems = [{"place": "orders.yaml:4", "text": "it is wrong"}]
    flow = error_of({"type": "FlowError", "message": "", "problems": problems})
    settings = error_of({"type": "SettingsError", "message": "set it", "problems": []})
    unknown = error_of({"type": "ZeroDivisionError", "message": "by zero", "problems": []})

    assert isinstance(flow, FlowError)
    assert flow.problems == (Problem("orders.yaml:4", "it is wrong"),)
    assert isinstance(settings, SettingsError)
    assert (type(unknown), unknown.exit_code) == (HeadraceError, 1)
