"""Several worker processes on one machine: started, watched, started again, and stopped together."""

import asyncio
import json
import logging
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.runtime import errors
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.errors import FlowError, HeadraceError, Problem, RestartError

logger = logging.getLogger(__name__)

RESTART_CODES = frozenset({5, 7})
"""Exit codes that ask for a new process; a signal asks for one, too."""
RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 60.0
PAUSE_S = 0.5
PAUSE_S_MAX = 10.0
KILL_AFTER_S = 10.0
"""How much longer than its own `stop_timeout` a process may take to stop before it is killed."""
LINE_BYTES_MAX = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one or more workers have done, as data that crosses processes."""

    records_read: int = 0
    commits: int = 0
    aborts: int = 0
    rejoins: int = 0
    partitions: int = 0
    waiting: int = 0
    """Tasks that wait for their state."""
    restored: int = 0
    """Records restored so far, of those that are being restored now."""
    to_restore: int = 0
    restored_per_s: int = 0
    written: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Records written per (flow, stage)."""
    failed: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """Failing records per (flow, stage, what became of them)."""

    def document(self) -> dict[str, Any]:
        """As plain data; `report_of` reads it back."""
        flows: dict[str, dict[str, Any]] = {}
        for (flow, stage), count in self.written.items():
            _flow(flows, flow)["written"][stage] = count
        for (flow, stage, fate), count in self.failed.items():
            _flow(flows, flow)["failed"].setdefault(stage, {})[fate] = count
        return {**{name: getattr(self, name) for name in NUMBERS}, "flows": flows}


NUMBERS = (
    "records_read",
    "commits",
    "aborts",
    "rejoins",
    "partitions",
    "waiting",
    "restored",
    "to_restore",
    "restored_per_s",
)


def _flow(flows: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return flows.setdefault(name, {"written": {}, "failed": {}})


def report_of(document: Mapping[str, Any]) -> Report:
    """The report that `Report.document` made plain data of."""
    flows = document["flows"]
    return Report(
        **{name: int(document[name]) for name in NUMBERS},
        written={
            (flow, stage): count
            for flow, parts in flows.items()
            for stage, count in parts["written"].items()
        },
        failed={
            (flow, stage, fate): count
            for flow, parts in flows.items()
            for stage, fates in parts["failed"].items()
            for fate, count in fates.items()
        },
    )


def total(reports: Iterable[Report]) -> Report:
    """The sum of reports."""
    reports = list(reports)
    written: dict[tuple[str, str], int] = {}
    failed: dict[tuple[str, str, str], int] = {}
    for report in reports:
        for stage, count in report.written.items():
            written[stage] = written.get(stage, 0) + count
        for fate, count in report.failed.items():
            failed[fate] = failed.get(fate, 0) + count
    numbers = {name: sum(getattr(report, name) for report in reports) for name in NUMBERS}
    return Report(**numbers, written=written, failed=failed)


class Supervisor:
    """Keeps one process per command running. Belongs to one event loop.

    A process reports as JSON lines on its stdout: an object with `"type": "progress"` and the keys of `Report`, or
    one with `error`. Its stdin is a pipe that closes when this process ends, however it ends: then it must stop.
    `said` is called with the number of a process and each line of its stderr.

    ====================================== ===================================================================
    a process ends with                    reaction
    ====================================== ===================================================================
    0                                      it is done; the others go on
    5, 7 or a signal                       it is started again after a pause that doubles; at most five times
                                           a minute, then its error ends all
    anything else                          its error ends all: the others are stopped
    ====================================== ===================================================================
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        stop_timeout_s: float,
        said: Callable[[int, str], None],
        clock: Clock | None = None,
    ) -> None:
        self._commands = commands
        self._stop_timeout_s = stop_timeout_s
        self._said = said
        self._clock = clock or SystemClock()
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._reports: dict[int, Report] = {}
        self._ended: list[Report] = []
        self._stopping = asyncio.Event()
        self._failure: HeadraceError | None = None

    async def run(self) -> None:
        """Return when every process is done, or was stopped.

        Raises:
            HeadraceError: the error that ended a process, and with it all of them.
        """
        tasks = {asyncio.create_task(self._keep(i)) for i in range(len(self._commands))}
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            running = set(tasks)
            while running and not self._stopping.is_set():
                await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                running = {task for task in running if not task.done()}
            await asyncio.wait(tasks, timeout=self._stop_timeout_s + KILL_AFTER_S)
            if self._processes and self._failure is None:
                self._failure = RestartError(
                    f"process {min(self._processes)} did not stop within {self._stop_timeout_s:g} s and was killed; what was"
                    " not committed will be read again"
                )
        finally:
            self._stopping.set()
            self.kill()
            await asyncio.gather(stopping, *tasks)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask every process to stop, and start none again; `run` returns when they have."""
        self._stopping.set()
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every process at once; what they did not commit will be read again."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()

    def process_ids(self) -> list[int]:
        """Of the processes that run."""
        return [process.pid for process in self._processes.values()]

    def report(self) -> Report:
        """What all processes have done, those that ended too; a process reports every second."""
        running = total(self._reports.values())
        return total([running, *self._ended])

    # ---- one process

    async def _keep(self, number: int) -> None:
        """Run a process for as long as it is to run; never raises, but notes a failure and stops the others."""
        restarts: deque[float] = deque()
        while not self._stopping.is_set():
            error = await self._run_once(number)
            if error is None:
                return
            now_s = self._clock.monotonic_s()
            while restarts and restarts[0] < now_s - RESTARTS_WITHIN_S:
                restarts.popleft()
            is_final = error.exit_code not in RESTART_CODES or len(restarts) >= RESTARTS_MAX
            if is_final or self._stopping.is_set():
                if self._failure is None:
                    self._failure = error
                self.stop()
                return
            pause_s = min(PAUSE_S * 2 ** len(restarts), PAUSE_S_MAX)
            restarts.append(now_s)
            logger.warning("process %d ended, again in %.1f s: %s", number, pause_s, error)
            try:
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            except TimeoutError:
                continue

    async def _run_once(self, number: int) -> HeadraceError | None:
        """Start a process and follow it to its end; the error that it ended with, if any."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._commands[number],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
                # Ctrl-C reaches this process only, which passes it on once.
                start_new_session=True,
            )
        except OSError as error:
            return HeadraceError(f"process {number} could not be started: {error}")
        self._processes[number] = process
        if self._stopping.is_set():
            process.send_signal(signal.SIGTERM)
        told, _ = await asyncio.gather(
            self._read_reports(number, process), self._read_messages(number, process)
        )
        code = await process.wait()
        del self._processes[number]
        if last := self._reports.pop(number, None):
            self._ended.append(_without_moment(last))
        if code == 0 or (code < 0 and self._stopping.is_set()):
            return None
        return told or _ended_without_a_word(number, code)

    async def _read_reports(
        self, number: int, process: asyncio.subprocess.Process
    ) -> HeadraceError | None:
        error = None
        assert process.stdout
        async for line in process.stdout:
            try:
                document = json.loads(line)
                if "error" in document:
                    error = error_of(document["error"])
                else:
                    self._reports[number] = report_of(document)
            except (ValueError, KeyError, TypeError, AttributeError):
                # Not ours: a function that the flow calls has printed it.
                self._said(number, line.decode("utf-8", "replace").rstrip("\n"))
        return error

    async def _read_messages(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stderr
        async for line in process.stderr:
            self._said(number, line.decode("utf-8", "replace").rstrip("\n"))


def _without_moment(report: Report) -> Report:
    """What stays true of a process that has ended."""
    return replace(report, partitions=0, waiting=0, restored=0, to_restore=0, restored_per_s=0)


def _ended_without_a_word(number: int, code: int) -> HeadraceError:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return RestartError(f"process {number} was ended by {name}")
    if code in RESTART_CODES:
        return RestartError(f"process {number} ended with exit code {code}")
    return HeadraceError(f"process {number} ended with exit code {code}")


def error_of(document: Mapping[str, Any]) -> HeadraceError:
    """The error that another process told of; one of a class that is not ours becomes a HeadraceError."""
    kind = getattr(errors, str(document["type"]), None)
    message = str(document["message"])
    if kind is FlowError:
        return FlowError([Problem(p["place"], p["text"]) for p in document["problems"]])
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        return kind(message)
    return HeadraceError(message)
