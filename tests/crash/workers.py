"""Worker processes that are there to be killed, and that end with the test, however it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from confluent_kafka import Producer

VICTIM = Path(__file__).with_name("victim.py")
WAIT_S = 120.0


class WorkerProcess(subprocess.Popen[str]):
    """One worker; what it logs goes to a file, so that it never waits for somebody to read it."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            super().__init__(
                [sys.executable, str(VICTIM), *arguments],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    @property
    def logged(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    def murder(self) -> None:
        """Kill it, whatever it is doing, and wait for its end."""
        self.kill()
        self.end()

    def end(self, timeout_s: float | None = None) -> int:
        """Wait for its end; what it returned."""
        code = self.wait(timeout_s)
        if self.stdout:
            self.stdout.close()
        return code


def ready(worker: WorkerProcess) -> None:
    """Wait until a worker says that it has joined."""
    assert worker.stdout
    assert worker.stdout.readline() == "ready\n", worker.logged[-4000:]


class Valve:
    """Lets a feeder send, or not. An idempotent producer whose broker dies may send again what is there already."""

    def __init__(self) -> None:
        self._opened, self._shut = Event(), Event()
        self._opened.set()

    def shut(self) -> None:
        """Return when nothing is on its way any more."""
        self._shut.clear()
        self._opened.clear()
        assert self._shut.wait(WAIT_S), "what was sent does not arrive"

    def open(self) -> None:
        self._opened.set()

    def passed(self, producer: Producer) -> None:
        """For the feeder, before it sends: wait while the valve is shut."""
        if not self._opened.is_set():
            assert producer.flush(60) == 0
            self._shut.set()
            self._opened.wait(WAIT_S)


class Workers:
    """Starts workers for the flows of a file or a folder, all with the same settings."""

    def __init__(self, flows: Path, folder: Path, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self._flows = flows
        self._folder = folder
        self._started: list[WorkerProcess] = []
        self.valve = Valve()

    def start(self, step: int | str = 0, commit: int = 1, **settings: Any) -> WorkerProcess:
        """A worker process that dies at this step of this commit (0: never), see `victim.py`."""
        given = json.dumps({**self.settings, **settings})
        arguments = [given, str(self._flows), str(step), str(commit)]
        log = self._folder / f"{self._flows.stem}-{len(self._started)}.log"
        worker = WorkerProcess(arguments, log)
        self._started.append(worker)
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether any worker still runs."""
        return any(worker.poll() is None for worker in self._started)

    @property
    def logged(self) -> str:
        """What the workers logged last."""
        return "\n".join(worker.logged[-4000:] for worker in self._started)

    def clean_up(self) -> None:
        """End what still runs."""
        self.valve.open()
        for worker in self._started:
            if worker.poll() is None:
                worker.kill()
            worker.end()

    def wait_killed(self, worker: WorkerProcess) -> None:
        """Wait until the worker has killed itself, which it must."""
        try:
            worker.end(WAIT_S)
        except subprocess.TimeoutExpired:
            worker.murder()
            raise AssertionError(
                f"the worker did not come to its end:\n{worker.logged[-4000:]}"
            ) from None
        assert worker.returncode == -signal.SIGKILL, worker.logged[-4000:]

    def stop(self, *workers: WorkerProcess) -> None:
        """Ask workers to stop; they must end well."""
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            assert worker.end(WAIT_S) == 0, worker.logged[-4000:]
