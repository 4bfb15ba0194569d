"""Bounds calls of the client that may never return.

librdkafka waits without a limit for its own thread to answer transactional calls. When a broker that dies takes the
coordinators with it, that answer may never come (test_a_broker_that_is_killed_and_started_again_costs_nothing).
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread


class StuckError(Exception):
    """A call did not return in time, and may never. Caught by the producer."""


class _Call:
    """One call, its end and its outcome."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.done = Event()
        self.error: BaseException | None = None


class BoundedCalls:
    """Runs calls one after the other on a daemon thread, so that whoever waits for them can give up.

    A thread that is stuck stays behind until the process ends; it keeps what it works on alive.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.is_stuck = False

    def run(self, function: Callable[[], None], timeout_s: float) -> None:
        """Run a call to its end, and raise what it raises.

        Raises:
            StuckError: it did not return within `timeout_s`, or an earlier one did not.
        """
        if self.is_stuck:
            raise StuckError
        call = _Call(function)
        self._calls.put(call)
        if not call.done.wait(timeout_s):
            self.is_stuck = True
            raise StuckError
        if call.error is not None:
            raise call.error

    def close(self) -> None:
        """Let the thread end when it is not stuck. Returns at once; may be called again."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.function()
            except BaseException as error:  # raised again by whoever waits
                call.error = error
            call.done.set()
            del call
