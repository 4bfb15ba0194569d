"""What a task needs of its keyed stages, whichever way they run."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headrace.runtime.graph import Node
from headrace.runtime.state.layout import Changes
from headrace.runtime.state.timers import NEVER

Records = list[tuple[bytes, bytes | None]]
Functions = Mapping[str, Callable[..., None]]

__all__ = ["NEVER", "Functions", "Records", "TaskStage"]


class TaskStage(Protocol):
    """One keyed stage in one task.

    `offset_ms` is how far it lies behind the watermark of the task's inputs. `shape` is noted with its first commit.
    """

    node: Node
    region: bytes
    offset_ms: int
    reached_ms: int
    shape: Mapping[str, Any]

    def bind(self, functions: Functions) -> None:
        """Be told the generated functions by which events go on."""

    def event_due(self) -> int:
        """The watermark of this stage at which something is due; `NEVER` when nothing is."""

    def held_ms(self) -> int:
        """The event time that results may still have of what is left for `work`; `NEVER` when nothing is."""

    def wall_due(self) -> int:
        """The same in milliseconds of the wall clock."""

    def fire(self) -> None:
        """Do what is due at `reached_ms`. Some of it may be left for `work`."""

    def fire_wall(self, now_ms: int, quiet_ms: int) -> None:
        """Do what is due on the wall clock; the inputs have had nothing to read for `quiet_ms`."""

    @property
    def has_work(self) -> bool:
        """Whether something is left for `work`."""

    def is_idle_due(self, quiet_ms: int) -> bool:
        """Whether windows are to be closed after so long without a record."""

    def work(self, budget: int) -> int:
        """Go on with what is left of `fire`: at most about `budget` results; how many there were."""

    def before_commit(self) -> None:
        """Send on what waits for the commit."""

    def records(self, remembered: Mapping[str, Any]) -> Records:
        """Changelog records of everything changed; `remembered` is what the task must know after a restart."""

    def changes(self) -> Changes:
        """What the commit means for the store."""

    def flush(self, changes: Changes) -> list[tuple[bytes, bytes]]:
        """Hand over what was committed and waits for the store; returns ranges to clear before it is written."""

    @property
    def waiting(self) -> int:
        """How many entries wait for the store."""

    def committed(self) -> None: ...
    def abort(self) -> None: ...
    def remembered(self) -> Mapping[str, Any]:
        """What the last commit remembered."""

    def counted_late(self) -> int:
        """Late records since this was last asked."""
