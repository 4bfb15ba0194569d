"""What stages have in common whose every commit is in the store at once, and that leave nothing for later."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.runtime.graph import Node
from headrace.runtime.state.layout import META, Changes
from headrace.runtime.state.shapes import SHAPE
from headrace.runtime.state.stage_state import StageState
from headrace.runtime.task.stage import Records

if TYPE_CHECKING:
    from headrace.runtime.task.task import Task

MEMORY = META + b"time"
"""Where a stage keeps what its task must know after a restart."""


class StoredStage:
    """The part of `TaskStage` between the state of a stage and the commit. Belongs to the member's thread."""

    sweeps: ClassVar[bool] = False
    """Whether a commit removes what has expired."""
    state: StageState

    def __init__(self, task: "Task", node: Node, region: bytes) -> None:
        self.node = node
        self.region = region
        self.offset_ms = 0
        self.reached_ms = -1
        self.shape: Mapping[str, Any] = {}
        self._task = task

    @property
    def watermark(self) -> int:
        """How far this stage's inputs have come."""
        return self._task.watermark_of(self)  # type: ignore[arg-type] # what is left of the protocol is in subclasses

    has_work = False
    waiting = 0

    def is_idle_due(self, quiet_ms: int) -> bool:  # noqa: ARG002 # idleness matters to folds only
        return False

    def work(self, budget: int) -> int:  # noqa: ARG002 # nothing is left for later
        return 0

    def records(self, remembered: Mapping[str, Any]) -> Records:
        self.state.note(MEMORY, {**remembered, "watermark": self.watermark})
        self.state.note(SHAPE, self.shape)
        return self.state.records(sweeps=self.sweeps)

    def changes(self) -> Changes:
        return self.state.changes()

    def flush(self, changes: Changes) -> list[tuple[bytes, bytes]]:  # noqa: ARG002 # every commit is written at once
        return []

    def committed(self) -> None:
        self.state.committed()

    def remembered(self) -> Mapping[str, Any]:
        return self.state.get(MEMORY) or {}
