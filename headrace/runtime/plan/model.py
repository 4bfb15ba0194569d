"""The plan as data: frozen, deterministic, and knowing nothing of execution."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from headrace.runtime.flow.model import Flow, slug
from headrace.runtime.graph import Graph

Role = Literal["source", "table", "link", "repartition", "changelog", "sink", "late", "dead_letter"]
Via = Literal["trigger", "link", "repartition", "table"]


def letters_topic(prefix: str, flow: Flow) -> str:
    """Where the dead letters of a flow are, if it has or had a stage that writes any."""
    return f"{prefix}.{flow.slug}.dead-letters"


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
        return self.role in ("link", "repartition", "changelog", "dead_letter")


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """Where records enter a sub-topology: at a trigger, at a stage behind a topic of its own, or at one that reads a table."""

    stage: str
    topics: tuple[str, ...]
    pattern: str | None
    via: Via = "trigger"

    @property
    def is_link(self) -> bool:
        """Whether headrace itself writes the topic."""
        return self.via in ("link", "repartition")

    @property
    def text(self) -> str:
        return ", ".join(self.topics) or f"~ {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class SubTopology:
    """Stages that run in one task without a topic between them, in topological order.

    `name` is what tasks call it: stays the same while stages are added behind it, or renamed.
    """

    id: int
    name: str
    sources: tuple[PlannedSource, ...]
    stages: tuple[str, ...]
    sinks: tuple[str, ...]
    keyed: tuple[str, ...] = ()

    @property
    def tells_by_input(self) -> bool:
        """Whether its inputs need not come to one worker, as no state is made of them: markers tell of each by itself."""
        topics = {topic for source in self.sources for topic in source.topics}
        return not self.keyed and (len(topics) > 1 or any(one.pattern for one in self.sources))

    @property
    def marker_name(self) -> str:
        """What markers call it."""
        return f"{self.name}/inputs" if self.tells_by_input else self.name


@dataclass(frozen=True, kw_only=True)
class PlannedStore:
    """The state of one keyed stage: per task a region of the store, and a partition of the changelog topic.

    `shape` tells what is in it; a worker refuses state of another shape. It has the partitions of `sub_topology`'s tasks.
    """

    stage: str
    changelog: str
    sub_topology: int
    shape: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Plan:
    """One flow, compiled. `link_topics` are the topics in front of stages, per stage: link topics and repartition topics."""

    graph: Graph
    prefix: str
    group: str
    sub_topologies: tuple[SubTopology, ...]
    topics: tuple[PlannedTopic, ...]
    link_topics: dict[str, str]
    crossing: dict[str, tuple[str, ...]]
    dead_letter_topic: str | None
    warnings: tuple[str, ...] = ()
    stores: tuple[PlannedStore, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.graph.flow.name

    @cached_property
    def upstreams(self) -> Mapping[str, tuple[SubTopology, ...]]:
        """Per topic of headrace's own, the sub-topologies that write to it; a stage that sends to itself does not count."""
        found: dict[str, dict[int, SubTopology]] = {
            topic: {} for topic in self.link_topics.values()
        }
        for sub in self.sub_topologies:
            for name in sub.stages:
                for target in self.graph.by_name[name].targets:
                    if self.graph.by_name[target].is_behind_topic(name):
                        found[self.link_topics[target]][sub.id] = sub
        return {topic: tuple(subs.values()) for topic, subs in found.items()}

    def feeding(self, sub: SubTopology, topic: str) -> frozenset[str]:
        """The stages of a sub-topology that records pass on their way to a topic of headrace's own.

        A sub-topology may read a topic that it writes itself: what is behind the topic has no part in what goes to it.
        """
        senders = {
            name
            for name in sub.stages
            for target in self.graph.by_name[name].targets
            if self.graph.by_name[target].is_behind_topic(name)
            and self.link_topics[target] == topic
        }
        before = senders.union(*(self.graph.ancestors[name] for name in senders))
        return frozenset(before.intersection(sub.stages))

    def sub_topology_of(self, stage: str) -> SubTopology:
        """Where a stage of the flow runs."""
        return next(sub for sub in self.sub_topologies if stage in sub.stages)

    def replay_topic(self, sub: SubTopology) -> str:
        """The topic of events that enter at the stage which their header names; there is none before somebody needs it."""
        return f"{self.prefix}.{self.graph.flow.slug}.{slug(sub.name)}.replay"

    def home_topic(self, sub: SubTopology) -> str | None:
        """A topic that the sub-topology reads: who reads a partition of it also reads that of the replay topic."""
        return next((topic for source in sub.sources for topic in source.topics), None)

    @cached_property
    def is_stateful(self) -> bool:
        """Whether any stage keeps state, so that tasks and event time matter."""
        return bool(self.stores)
