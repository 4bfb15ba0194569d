"""A broker on this machine, for people who have none: what `headrace broker` asks of its launcher.

The launcher is found through the entry-point group `headrace.local_brokers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BackgroundBroker:
    """A broker that lives on by itself. `started` is ISO 8601 in UTC."""

    pid: int
    port: int
    data: Path
    version: str
    started: str
    is_ephemeral: bool

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.port}"


class LocalBroker(Protocol):
    """A broker that ends with this process. Everything blocks; not thread-safe."""

    @property
    def brokers(self) -> str:
        """What clients call bootstrap servers, once it is started."""

    @property
    def version(self) -> str: ...

    @property
    def data(self) -> Path: ...

    @property
    def log_path(self) -> Path: ...

    @property
    def is_running(self) -> bool: ...

    def start(self) -> None:
        """Return when clients are answered.

        Raises:
            SettingsError: this machine cannot start one; says why, and what to do.
        """

    def stop(self) -> None:
        """End gracefully. May be called again."""

    def __enter__(self) -> Self:
        """Start it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""


class LocalBrokerLauncher(Protocol):
    """What the entry point names. At most one broker of a user runs in the background.

    `port` 0 takes a free one; `data` None is the user's state folder, or a temporary one for an ephemeral broker;
    `progress` is told what is going on, one line at a time. Each may raise `SettingsError`.
    """

    def in_foreground(
        self, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> LocalBroker:
        """One that ends with this process; not started yet."""

    def start_in_background(
        self, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> BackgroundBroker:
        """Start one that lives on; refuses when one runs already, naming it."""

    def in_background(self) -> BackgroundBroker | None:
        """The one that runs."""

    def stop_background(self) -> BackgroundBroker | None:
        """Stop the one that runs, wait for its end, and throw its data away when it is ephemeral."""

    def reset(self, data: Path | None) -> Path | None:
        """Delete a data folder; the folder, or None when there was none. Refuses while a broker works on it."""

    def data_folder(self, data: Path | None) -> Path:
        """The folder that `reset` would delete."""
