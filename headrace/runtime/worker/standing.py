"""Which tasks of a member run, for other threads."""

from dataclasses import dataclass

TaskId = tuple[str, int, int]
"""Flow, number of the sub-topology, partition number."""


@dataclass(frozen=True)
class Standing:
    """The tasks that run, and those that wait for their state. The member's thread publishes a new one when it changes."""

    ready: frozenset[TaskId] = frozenset()
    waiting: frozenset[TaskId] = frozenset()
