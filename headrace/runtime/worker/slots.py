"""A stable name for a worker process: the first slot of this machine that no other process holds."""

import fcntl
import hashlib
import os
import socket
from pathlib import Path
from types import TracebackType

from headrace.runtime.errors import SettingsError

SLOTS_MAX = 1_000


class Slot:
    """A numbered folder below the state directory, locked for the life of this process.

    The kernel releases the lock when the process dies, however it dies. The next process takes the same slot, and with it
    the same transactional id: that fences what the dead one left open, at once instead of after a time-out.
    """

    def __init__(self, state_dir: Path, group: str) -> None:
        self._descriptor = -1
        for number in range(SLOTS_MAX):
            folder = state_dir / group / f"slot-{number}"
            descriptor = _lock(folder)
            if descriptor >= 0:
                self._descriptor = descriptor
                self.folder = folder
                self.name = f"{_machine(state_dir)}-{number}"
                return
        raise SettingsError(
            f"all {SLOTS_MAX} slots of {state_dir / group} are taken; choose another state_dir"
        )

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let another process take the slot. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(folder: Path) -> int:
    """The descriptor of the locked lock file, or -1 when another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SettingsError(
            f"the state directory {folder} cannot be used: {error.strerror}; set state_dir to a folder that can be written"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor


def _machine(state_dir: Path) -> str:
    """Tells machines and state directories apart, since two of them must never share a transactional id."""
    try:
        machine_id = Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, ValueError):
        machine_id = ""
    identity = f"{socket.gethostname()}|{machine_id}|{state_dir.resolve()}"
    return hashlib.sha256(identity.encode()).hexdigest()[:12]
