"""Drives a run from its start to its end: signals, ticks, and stopping when nothing comes any more."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from headrace.runtime.cli.idleness import Idleness
from headrace.runtime.cli.progress import Progress, Rate, Tick
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.worker.collector import relax_collector
from headrace.runtime.worker.processes import Report
from headrace.runtime.worker.worker import Worker

TICK_S = 1.0
IDLE_LOOK_S = 0.05


class Job(Protocol):
    """What runs: a worker in this process, or several in processes of their own."""

    async def run(self) -> None:
        """Return when the job is done or was stopped; raises what ended it."""

    def stop(self) -> None:
        """Begin to stop. May be called again, and before `run`."""

    def kill(self) -> None:
        """End at once everything that would outlive this process."""

    def report(self) -> Report: ...


class WorkerJob:
    """A worker in this process. With `until_idle` it stops when no record has come for that long after joining and restoring."""

    def __init__(self, worker: Worker, until_idle: timedelta | None, clock: Clock) -> None:
        self._worker = worker
        self._until_idle = until_idle
        self._clock = clock
        self._is_stopping = False

    async def run(self) -> None:
        async with self._worker as worker:
            relax_collector()
            if self._is_stopping:
                worker.stop()
            watching = asyncio.create_task(self._stop_when_idle())
            try:
                await worker.wait()
            finally:
                watching.cancel()

    def stop(self) -> None:
        self._is_stopping = True
        self._worker.stop()

    def kill(self) -> None:
        """A worker ends with its process."""

    def report(self) -> Report:
        done = self._worker.statistics()
        active = [one for one in done.restores if not one.is_standby]
        return Report(
            records_read=done.records_read,
            commits=done.commits,
            aborts=done.aborts,
            rejoins=done.rejoins,
            partitions=len(done.assignment),
            waiting=done.waiting,
            restored=sum(one.restored for one in active),
            to_restore=sum(one.to_restore for one in active),
            restored_per_s=round(sum(one.per_s for one in active)),
            written=dict(done.written),
            failed=dict(done.failed),
        )

    async def _stop_when_idle(self) -> None:
        if self._until_idle is None:
            return
        idleness = Idleness(self._until_idle.total_seconds(), self._clock.monotonic_s())
        while True:
            left_s = idleness.left_s(self._worker.statistics(), self._clock.monotonic_s())
            if left_s <= 0:
                self.stop()
                return
            await asyncio.sleep(max(left_s, IDLE_LOOK_S))


class Run:
    """One run of a job. `seconds` counts from the start of `drive`; `interrupted_by` is the signal that stopped it."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        *,
        lags: Callable[[], Mapping[str, int]],
        note: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._job = job
        self._progress = progress
        self._lags = lags
        self._note = note
        self._clock = clock or SystemClock()
        self._begun_s = self._clock.monotonic_s()
        self._rate = Rate()
        self.interrupted_by: int | None = None

    @property
    def seconds(self) -> float:
        return self._clock.monotonic_s() - self._begun_s

    async def drive(self, *, is_supervised: bool = False) -> None:
        """Run the job. The first signal stops it, the second one ends the process at once.

        `is_supervised` stops it when stdin ends, too: the supervisor has died.

        Raises:
            HeadraceError: what ended the job.
        """
        self._begun_s = self._clock.monotonic_s()
        with self._signals(), _end_of_input(self._job.stop) if is_supervised else _nothing():
            ticking = asyncio.create_task(self._tick())
            try:
                await self._job.run()
            finally:
                ticking.cancel()
                self._show()
                self._progress.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._show()

    def _show(self) -> None:
        seconds, report = self.seconds, self._job.report()
        rate = self._rate.of(seconds, report.records_read)
        try:
            self._progress.show(Tick(seconds, report, self._lags(), rate))
        except BrokenPipeError:  # nobody reads any more, as in `headrace run --json | head`
            self._job.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _signalled(self, number: int) -> None:
        if self.interrupted_by is not None:
            self._progress.close()
            self._job.kill()
            os._exit(128 + number)
        self.interrupted_by = number
        again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
        self._note(f"stopping: what was read is committed first; {again} ends it at once")
        self._job.stop()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _end_of_input(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when stdin ends."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            stop()

    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


def run_async(main: Any) -> None:
    """Run a coroutine on uvloop where there is one."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = None  # type: ignore[assignment] # a platform without it
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)
