"""The plan as data: frozen, deterministic, and knowing nothing of execution."""

from dataclasses import dataclass, field
from typing import Literal

from headrace.runtime.graph import Graph

Role = Literal["source", "link", "sink", "dead_letter"]


@dataclass(frozen=True, kw_only=True)
class PlannedTopic:
    """A topic of the plan.

    `name` is None where a pattern or an expression (`text`) decides. `stages` read or write it; `reason` says why
    it exists. Topics that headrace owns (`is_internal`) are created by every worker, the others only when asked to.
    """

    name: str | None
    text: str
    role: Role
    stages: tuple[str, ...]
    reason: str

    @property
    def is_internal(self) -> bool:
        return self.role in ("link", "dead_letter")


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """Where records enter a sub-topology: at a trigger, or at a stage behind its link topic."""

    stage: str
    topics: tuple[str, ...]
    pattern: str | None
    is_link: bool

    @property
    def text(self) -> str:
        return ", ".join(self.topics) or f"~ {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class SubTopology:
    """Stages that run in one task without a topic between them, in topological order."""

    id: int
    sources: tuple[PlannedSource, ...]
    stages: tuple[str, ...]
    sinks: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """One flow, compiled. `stores` is empty as long as no stage keeps state."""

    graph: Graph
    prefix: str
    group: str
    sub_topologies: tuple[SubTopology, ...]
    topics: tuple[PlannedTopic, ...]
    link_topics: dict[str, str]
    crossing: dict[str, tuple[str, ...]]
    dead_letter_topic: str | None
    warnings: tuple[str, ...] = ()
    stores: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.graph.flow.name
