import asyncio
import signal
import subprocess
import sys

import pytest

from headrace.runtime.cli import running
from headrace.runtime.cli.progress import NoProgress, Tick
from headrace.runtime.cli.running import Run
from headrace.runtime.worker.processes import Report

HANGS = """
import asyncio, os, signal
from headrace.runtime.cli.progress import NoProgress
from headrace.runtime.cli.running import Run
from headrace.runtime.worker.processes import Report

class Job:
    async def run(self):
        os.kill(os.getpid(), signal.{name})
        await asyncio.Event().wait()

    def stop(self):
        print("stop", flush=True)
        os.kill(os.getpid(), signal.{name})

    def kill(self):
        print("kill", flush=True)

    def report(self):
        return Report()

run = Run(Job(), NoProgress(), lags=dict, note=lambda text: print(text, flush=True))
asyncio.run(run.drive())
"""


def outcome_of(name: str) -> tuple[int, list[str]]:
    found = subprocess.run(
        [sys.executable, "-c", HANGS.format(name=name)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return found.returncode, found.stdout.splitlines()


def test_a_second_signal_ends_a_run_that_does_not_stop() -> None:
    code, lines = outcome_of("SIGTERM")

    assert code == 128 + signal.SIGTERM
    assert [line for line in lines if not line.startswith("stopping")] == ["stop", "kill"]


def test_the_first_signal_says_what_a_second_one_does() -> None:
    code, lines = outcome_of("SIGINT")

    assert code == 130
    assert lines[0].endswith("Ctrl-C again ends it at once")


class UntilStopped:
    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        await self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()

    def kill(self) -> None:
        raise AssertionError("nobody asked for it")

    def report(self) -> Report:
        return Report()


class Unread(NoProgress):
    def show(self, tick: Tick) -> None:
        raise BrokenPipeError


def test_a_run_whose_output_nobody_reads_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TICK_S", 0.0)

    async def drive() -> bool:
        job = UntilStopped()
        await Run(job, Unread(), lags=dict, note=print).drive()
        return job.stopped.is_set()

    assert asyncio.run(drive())
