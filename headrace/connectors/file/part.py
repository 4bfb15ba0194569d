"""A file that grows: under a name that begins with a dot and ends in `.part`, until it is complete."""

import fcntl
import os
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SUFFIX: Final = ".part"


class Part:
    """Locked as long as it is open, so that nobody takes it for a leftover. Every method waits for the disk."""

    def __init__(self, path: Path, header: bytes, opened_s: float) -> None:
        self.path = path
        self.opened_s = opened_s
        self.rows = 0
        self.is_committed = True
        """Whether everything in it belongs to committed transactions."""
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0
        self._committed = (0, 0)
        self._write(header)
        _sync_folder(path.parent)

    @classmethod
    def new(
        cls, folder: Path, prefix: str, extension: str, header: bytes, now_ms: int, opened_s: float
    ) -> "Part":
        """A part in a folder, which is made where it is not there. Names sort by time."""
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
        name = f".{prefix}-{moment}Z-{uuid.uuid4().hex[:8]}.{extension}{SUFFIX}"
        return cls(folder / name, header, opened_s)

    def append(self, lines: list[bytes]) -> None:
        """Add lines, which are on the disk when this returns, or not there at all.

        Raises:
            OSError: the disk is full or the like.
        """
        self._write(b"".join(lines))
        self.rows += len(lines)
        self.is_committed = False

    def committed(self) -> None:
        """What is in it has been committed."""
        self.is_committed = True
        self._committed = (self.size, self.rows)

    def forget_uncommitted(self) -> None:
        """Cut off what is not committed: it comes again."""
        self.size, self.rows = self._committed
        os.ftruncate(self._descriptor, self.size)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        os.fsync(self._descriptor)
        self.is_committed = True

    def close(self) -> None:
        """Let go of the file and its lock."""
        with suppress(OSError):
            os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        view, before = memoryview(data), self.size
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            os.lseek(self._descriptor, 0, os.SEEK_END)
            raise
        self.size = before + len(data)


def leftovers(folder: Path, prefix: str) -> list[Path]:
    """Parts that were left behind by a process that died. Each is locked by somebody else no more, and cut to whole lines."""
    found = []
    for path in sorted(folder.rglob(f".{prefix}-*{SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # somebody else was faster
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            if path.exists():
                _cut(descriptor)
                found.append(path)
        finally:
            os.close(descriptor)
    return found


def _cut(descriptor: int) -> None:
    """To the end of the last whole line."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 65_536)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end != size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)


def final_path(part: Path) -> Path:
    """The name of a part that is complete."""
    return part.with_name(part.name[1:].removesuffix(SUFFIX))


def publish(written: Path, final: Path) -> None:
    """Give a complete file its name, durably."""
    written.replace(final)
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
