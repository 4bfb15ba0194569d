"""When a worker that shall stop after a while without records may do so."""

from headrace.runtime.worker.member import PAUSE_S_MAX
from headrace.runtime.worker.worker import Statistics


class Idleness:
    """How long nothing has happened; told by looking at a worker's statistics again and again.

    Tasks that wait for their state, and transactions that were aborted and are going to be tried again, are work: a worker
    whose schema registry is away has records, though none is counted.
    """

    def __init__(self, limit_s: float, now_s: float) -> None:
        self._limit_s = limit_s
        self._active_s = now_s
        self._aborts = 0
        self._commits = 0
        self._aborted_s: float | None = None

    def left_s(self, done: Statistics, now_s: float) -> float:
        """How long until the worker was idle for long enough; 0 or less when it was."""
        if done.waiting:
            self._active_s = now_s  # there may be records for tasks that have no state yet
        if done.aborts != self._aborts:
            self._aborts, self._commits, self._aborted_s = done.aborts, done.commits, now_s
        elif done.commits != self._commits:
            self._aborted_s = None
        last_s = max(self._active_s, done.last_record_s)
        if self._aborted_s is not None:
            last_s = max(last_s, self._aborted_s + PAUSE_S_MAX)
        return last_s + self._limit_s - now_s
