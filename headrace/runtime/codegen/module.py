"""A generated module: its source, and what is needed to run it and to explain its failures."""

import linecache
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Literal

from headrace.runtime.contracts.action import Source
from headrace.runtime.contracts.format import FormatUse
from headrace.runtime.graph import Graph, Node
from headrace.runtime.plan import Via

Way = Via | Literal["results"]
"""How records enter: through a topic, or out of a keyed stage."""


@dataclass(frozen=True)
class Entry:
    """Where records enter.

    That is at a trigger's topics, at a topic of headrace's own in front of a stage, at a table that a stage reads, or behind a
    keyed stage, which forwards when it likes (`results`).

    `label` names the sub-topology (`orders/0`), `link_topics` are the flow's link topics per linked stage,
    `crossing` per linked stage what later stages mention of earlier ones (`results.x`, `trigger.event`). Where a flow keeps
    state, its entries are `timed`: they tell the event time of their records, and run per task. With `is_replay` it is for
    events that are sent back to the stage.
    """

    graph: Graph
    node: Node
    label: str
    link_topics: Mapping[str, str]
    crossing: Mapping[str, tuple[str, ...]]
    carries_bytes: bool = False
    via: Way = "trigger"
    is_timed: bool = False
    is_replay: bool = False

    @property
    def is_link(self) -> bool:
        """Whether headrace wrote the records."""
        return self.via in ("link", "repartition")

    def key(self, stage: str) -> tuple[str, str, str]:
        """Tells a stage behind this entry from the same stage behind another one: the trigger's key may differ."""
        return self.graph.flow.name, self.node.name, stage

    @property
    def source(self) -> Source:
        """How records are decoded. For a topic of headrace's own, always as JSON."""
        if self.is_link:
            return Source(topics=(self.link_topics[self.node.name],))
        if self.via == "results":
            return Source()
        if self.via == "table":
            table = self.node.keyed.table() if self.node.keyed else None
            assert table is not None
            return Source(topics=(table.topic,), value_format=table.value_format)
        return self.node.action.source()  # type: ignore[attr-defined, no-any-return] # a trigger has one

    @property
    def value_format(self) -> str:
        return self.source.value_format

    @property
    def format_use(self) -> FormatUse:
        """How values are decoded, where that is not inlined."""
        return FormatUse(self.value_format, "row" if self.via == "table" else "event")


@dataclass(frozen=True)
class LinePlace:
    """What a generated line belongs to.

    `event` is the local variable that holds the stage's input, `variables` tells which local variable holds a name
    of the expression language (`results.x`, `key`, ...), `is_decoding` marks the lines that decode the record. Where the stage
    `is_alone` with the event, its code may change it in place. Where a line `is_partly_done`, the stage may have sent on
    something of this event before it, and may do so behind it.
    """

    entry: Entry
    node: Node
    event: str
    variables: Mapping[str, str]
    is_decoding: bool = False
    is_alone: bool = False
    is_partly_done: bool = False


@dataclass(frozen=True)
class StageFunction:
    """A stage that is a function of its own: an error handler, a fan-in, or one nested too deeply.

    It takes the message, the event, and by keyword the `parameters`: per name of the expression language that it
    or a later stage mentions (`results.x`, `key`, ...) the parameter that brings its value.
    """

    name: str
    parameters: Mapping[str, str]

    def arguments(self, variables: Mapping[str, str]) -> list[str]:
        """The keyword arguments of a call from where these variables are at hand."""
        return [
            f"{p}={variables[name]}" for name, p in self.parameters.items() if name in variables
        ]


@dataclass(frozen=True)
class Module:
    """The source of one generated module.

    `function` is the name of the function that takes a list of messages. `constants` are the objects that the source
    names, `outputs` the publishing stages in the order of their counters, `handlers` the stage functions that receive
    errors, `schemas` the constants that are JSON Schemas to check records against, `formats` the functions that decode and
    encode values, `spelled` the user's words for generated variables, `env` and `secrets` the variables that hold their values.

    A module that `is_timed` has a function `bind`, which takes a task and returns the functions of the module for it, by name;
    the one called `function` also takes the clock of its input. `results_of` is the keyed stage behind which the module begins.
    """

    label: str
    function: str
    source: str
    lines: Mapping[int, LinePlace]
    constants: Mapping[str, object] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[tuple[str, str], ...] = ()
    handlers: Mapping[tuple[str, str, str], StageFunction] = field(default_factory=dict)
    routes: tuple[tuple[str, str, str], ...] = ()
    schemas: frozenset[str] = frozenset()
    formats: Mapping[str, FormatUse] = field(default_factory=dict)
    is_timed: bool = False
    results_of: str | None = None

    @property
    def file_name(self) -> str:
        """The name under which tracebacks show the source."""
        return f"<headrace {self.label}>"

    @cached_property
    def code(self) -> CodeType:
        """The compiled source; also registered with `linecache`, so that tracebacks show its lines."""
        lines = self.source.splitlines(keepends=True)
        linecache.cache[self.file_name] = (len(self.source), None, lines, self.file_name)
        return compile(self.source, self.file_name, "exec", dont_inherit=True)
