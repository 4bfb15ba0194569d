"""What is copied from a changelog into a store, and how far that has come."""

from dataclasses import dataclass

from headrace.runtime.contracts.action import TimerKind
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.state.pace import Pace


@dataclass(frozen=True)
class Replica:
    """One keyed stage's state in one task, as a member's store has it."""

    changelog: TopicPartition
    region: bytes
    """Where it goes: `layout.region_of`."""
    store: str
    """`<flow>/<stage>`, for people."""
    ttl_kind: TimerKind
    """The clock of its expiries."""

    def __str__(self) -> str:
        return f"{self.store}[{self.changelog.partition}]"


class Restoration:
    """A replica that is being brought up to date, or followed. Written by the restorer's thread only.

    `position` is the changelog offset up to which (excluding) the region has everything, and is equal to its checkpoint;
    None until it was looked up. `start` is where this restoration began, `end` where the changelog ended when last seen.
    """

    __slots__ = ("begun_s", "end", "is_standby", "pace", "position", "replica", "start")

    def __init__(self, replica: Replica, now_s: float, *, is_standby: bool) -> None:
        self.replica = replica
        self.is_standby = is_standby
        self.begun_s = now_s
        self.position: int | None = None
        self.start = 0
        self.end = 0
        self.pace = Pace()

    @property
    def changelog(self) -> TopicPartition:
        return self.replica.changelog

    @property
    def is_complete(self) -> bool:
        return self.position is not None and self.position >= self.end
