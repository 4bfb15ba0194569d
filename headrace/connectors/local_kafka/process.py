"""The broker's process: a child that ends with its parent, or one that lives on by itself."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from headrace.runtime.clock import Clock, SystemClock

# Reads the child's id and waits. A second line means that the parent has seen the child end; the end of the pipe means that
# the parent is gone, however that came. The kernel's own "death signal" would not do: it fires when the *thread* ends
# that started the child. Guarded by test_a_broker_ends_with_the_process_that_started_it.
WATCH = """
read -r child || exit 0
read -r seen && exit 0
trap '' HUP INT TERM
remove=$1; shift
[ $# -eq 0 ] || "$@" >/dev/null 2>&1
kill -KILL "$child" 2>/dev/null
[ -n "$remove" ] || exit 0
for try in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 "$child" 2>/dev/null || break
  sleep 0.2
done
rm -rf -- "$remove"
"""

# The shell ends at once, so that the broker has no parent to report to, and prints its id.
DETACH = 'log=$1; shift; "$@" >>"$log" 2>&1 & echo $!'

POLL_S = 0.02


class BrokerProcess(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int: ...

    def is_running(self) -> bool: ...

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; does nothing when the process has ended."""

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""

    def describe_end(self) -> str:
        """How it ended, for a message."""


class ChildProcess:
    """A child in a session of its own (so that Ctrl-C does not reach it) that is killed when this process ends.

    A shell watches over it: see `WATCH`. `remove` is a folder that the shell deletes then; `kill_command` runs before the
    kill.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        keep_open: Sequence[int],
        remove: Path | None,
        kill_command: Sequence[str],
    ) -> None:
        self._watch = subprocess.Popen(  # noqa: S603 # a constant script
            ["/bin/sh", "-c", WATCH, "sh", str(remove or ""), *kill_command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with log.open("ab") as output:
                self._child = subprocess.Popen(  # noqa: S603 # the Java or Docker that was found
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    pass_fds=keep_open,
                    start_new_session=True,
                )
        except BaseException:
            self._dismiss_watch()
            raise
        self._tell_watch(f"{self._child.pid}\n")

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_running(self) -> bool:
        return not self.wait(0)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        if self._child.poll() is None:
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
        self._dismiss_watch()
        return True

    def describe_end(self) -> str:
        code = self._child.returncode
        if code is None:
            return "still runs"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _tell_watch(self, line: str) -> None:
        assert self._watch.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._watch.stdin.write(line.encode())
            self._watch.stdin.flush()

    def _dismiss_watch(self) -> None:
        if self._watch.stdin is not None and not self._watch.stdin.closed:
            self._tell_watch("seen\n")
            with contextlib.suppress(BrokenPipeError):
                self._watch.stdin.close()
            self._watch.wait()


class DetachedProcess:
    """A process that is no child of this one, known by its id and the moment at which it started.

    The moment tells it from a later process of the same id.
    """

    def __init__(self, pid: int, identity: str, clock: Clock | None = None) -> None:
        self._pid = pid
        self.identity = identity
        self._clock = clock or SystemClock()

    @classmethod
    def start(
        cls, command: Sequence[str], *, log: Path, folder: Path, keep_open: Sequence[int]
    ) -> "DetachedProcess":
        """Start it in a session of its own; it lives on when this process ends."""
        shell = subprocess.run(  # noqa: S603 # a constant script and the Java or Docker that was found
            ["/bin/sh", "-c", DETACH, "sh", str(log), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=folder,
            pass_fds=keep_open,
            start_new_session=True,
            check=True,
        )
        pid = int(shell.stdout)
        return cls(pid, process_identity(pid) or "")

    @property
    def pid(self) -> int:
        return self._pid

    def is_running(self) -> bool:
        return bool(self.identity) and process_identity(self._pid) == self.identity

    def signal(self, number: signal.Signals) -> None:
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait(self, timeout_s: float) -> bool:
        end = self._clock.monotonic_s() + timeout_s
        while self.is_running():
            if self._clock.monotonic_s() >= end:
                return False
            self._clock.sleep(POLL_S)
        return True

    def describe_end(self) -> str:
        return "still runs" if self.is_running() else "ended"


def process_identity(pid: int) -> str | None:
    """What tells this process from every other that has or had its id; None when it does not run (any more)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _identity_by_ps(pid)
    fields = status.rpartition(")")[2].split()
    state, threads, started_ticks = fields[0], int(fields[17]), fields[19]
    # A zombie whose other threads have not ended yet still holds its files, and with them the lock of the data folder.
    has_ended = state in {"Z", "X"} and threads <= 1
    return None if has_ended else f"{boot}:{started_ticks}"


def _identity_by_ps(pid: int) -> str | None:
    """For systems without /proc."""
    ran = subprocess.run(  # noqa: S603 # a number and constants
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = ran.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
