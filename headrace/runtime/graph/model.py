"""The graph: stages with their actions, in an order in which every stage comes after its inputs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from headrace.runtime.contracts.action import Action, KeyedAction, TriggerAction
from headrace.runtime.flow import Flow, Stage
from headrace.runtime.graph.calling import Calling
from headrace.runtime.graph.mentions import is_earlier, paths_of


@dataclass(frozen=True)
class Node:
    """One stage with its action and where its records go.

    `out` are the stages that get every output, `routes` those that the action chooses among, `handler` the
    stage that receives errors; `on_error` is the effective policy. `calling` is there where the action calls the outside.
    """

    index: int
    stage: Stage
    action: Action = field(compare=False)  # made of the stage's own action and config
    out: tuple[str, ...]
    routes: tuple[str, ...]
    on_error: str
    handler: str | None = None
    calling: Calling | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def is_trigger(self) -> bool:
        return isinstance(self.action, TriggerAction)

    @property
    def is_linked(self) -> bool:
        """Whether the document asks for a topic in front of this stage."""
        return self.stage.link == "topic"

    @property
    def keyed(self) -> KeyedAction | None:
        """The action, where it keeps state."""
        return self.action if isinstance(self.action, KeyedAction) else self.calling

    def repartitions(self, sender: str) -> bool:
        """Whether what `sender` sends must be brought together by a key first."""
        return self.keyed is not None and self.keyed.key(sender) is not None

    def is_behind_topic(self, sender: str) -> bool:
        """Whether a topic lies between `sender` and this stage."""
        return self.is_linked or self.repartitions(sender)

    @property
    def fans_out(self) -> bool:
        """Whether it makes several events of one."""
        return self.stage.action == "split" or getattr(self.action.config, "each", None) is not None

    @property
    def targets(self) -> tuple[str, ...]:
        """Every stage that this one sends to, each once."""
        handler = (self.handler,) if self.handler else ()
        return tuple(dict.fromkeys((*self.out, *self.routes, *handler)))


@dataclass(frozen=True)
class Graph:
    """A flow that passed every check: an acyclic graph in which a trigger reaches every stage.

    `nodes` are in topological order; among stages that are free to come first, the document's order holds.
    """

    flow: Flow
    nodes: tuple[Node, ...]
    by_name: dict[str, Node] = field(compare=False)

    @cached_property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Per stage, the stages that send to it."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for target in node.targets:
                found[target].append(node.name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """Per stage, every stage that comes before it on some path."""
        found: dict[str, frozenset[str]] = {}
        for node in self.nodes:
            above = self.inputs[node.name]
            found[node.name] = frozenset(above).union(*(found[name] for name in above))
        return found

    @cached_property
    def wanted(self) -> dict[str, frozenset[str]]:
        """Per stage, what it or any stage behind it mentions of earlier ones: `results.<stage>`, `trigger.event`."""
        found: dict[str, frozenset[str]] = {}
        for node in reversed(self.nodes):
            parts = node.action.config.parts()
            mentioned = {name for part in parts for name in paths_of(part) if is_earlier(name)}
            found[node.name] = frozenset(mentioned).union(*(found[name] for name in node.targets))
        return found

    def is_multiplied(self, name: str) -> bool:
        """Whether several events of one run may come to a stage, or events that are of no single run."""
        before = [self.by_name[one] for one in self.ancestors[name]]
        return len(self.inputs[name]) > 1 or any(
            one.fans_out
            or len(self.inputs[one.name]) > 1
            or (one.keyed is not None and not one.keyed.keeps_run)
            for one in before
        )

    def crossing(self, name: str) -> tuple[str, ...]:
        """What a stage, or one behind it, mentions of stages before it: a record that enters the flow there must bring it."""
        before = self.ancestors[name]
        return tuple(
            sorted(
                one
                for one in self.wanted[name]
                if one == "trigger.event" or one.partition(".")[2] in before
            )
        )

    def fused(self, start: str) -> list[Node]:
        """The stages that records reach from `start` without crossing a topic, `start` first."""
        found, todo = {start: self.by_name[start]}, [start]
        while todo:
            sender = todo.pop()
            for name in self.by_name[sender].targets:
                node = self.by_name[name]
                if name not in found and not node.is_behind_topic(sender):
                    found[name] = node
                    todo.append(name)
        return list(found.values())

    def has_topic(self, name: str) -> bool:
        """Whether records come to a stage through a topic of headrace's own: a link topic or a repartition topic."""
        node = self.by_name[name]
        sends = node.keyed is not None and node.keyed.sends
        return sends or any(node.is_behind_topic(sender) for sender in self.inputs[name])

    @property
    def triggers(self) -> Iterator[Node]:
        return (node for node in self.nodes if node.is_trigger)
