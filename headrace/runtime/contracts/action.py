"""What an action is: one class in one file, a pydantic `Config`, and one of four shapes.

An action is found by its name through the entry-point group `headrace.actions`; those of headrace itself are found the same way.

========== ============================ ==========================================================================
shape      for                          contract
========== ============================ ==========================================================================
trigger    kafka, ...                   names the topics that start runs and how their records are decoded
inline     filter, map, publish, ...    writes the Python lines that the compiler fuses into one function
batch      hydrate over HTTP, sql, ...  gets a batch, returns an outcome per record
keyed      reduce, join, dedupe, ...    state and timers per key
========== ============================ ==========================================================================
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from headrace.runtime.expression import Expression, Template

Format = Literal["json", "text", "bytes"]


class ActionConfig(BaseModel):
    """The `config` of a stage; unknown keys are errors with a suggestion."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def parts(self) -> Iterator[Expression | Template]:
        """Every expression and template in this config, wherever it is nested."""
        for name in type(self).model_fields:
            yield from _parts_of(getattr(self, name))


def _parts_of(value: object) -> Iterator[Expression | Template]:
    if isinstance(value, Expression | Template):
        yield value
    elif isinstance(value, ActionConfig):
        yield from value.parts()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts_of(item)


class Action:
    """What a stage does. Made once per stage when the flow is checked; immutable; holds no record and no connection.

    Subclasses set `Config` and may override `outputs` when their config names further stages.
    """

    Config: ClassVar[type[ActionConfig]] = ActionConfig
    is_terminal: ClassVar[bool] = False
    """Whether an `out` makes no sense because nothing is ever forwarded."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def outputs(self) -> tuple[str, ...]:
        """Stages that the config itself sends records to, besides `out`."""
        return ()

    def problems(self) -> Iterable[str]:
        """What is wrong with this config beyond its types, in plain words."""
        return ()

    def summary(self) -> str:
        """What this stage does in a few words, for plans; holds no value of a secret."""
        return ""


class Code(Protocol):
    """Where an inline action writes its lines. Made by the compiler, for one stage on one path of the flow.

    The written lines run once per record that reaches the stage, inside of a `try`: any exception fails this record in
    this stage. Lines must not `return`, `break` or `continue`; a stage that drops a record simply does not forward it.
    """

    @property
    def stage(self) -> str: ...

    @property
    def event(self) -> str:
        """Python source of the current event."""

    @property
    def is_owned(self) -> bool:
        """Whether the event may be changed in place: no other stage will look at it."""

    @property
    def is_alone(self) -> bool:
        """Whether also what is nested in the event may be changed: nobody else sees any part of it, not even an error handler."""

    def line(self, text: str) -> None:
        """Write one line."""

    def block(self, header: str) -> AbstractContextManager[None]:
        """Write `header` (ending in a colon) and indent what is written inside."""

    def expression(
        self, part: Expression | Template, names: Mapping[str, str] | None = None
    ) -> str:
        """Python source for a part of the config; `names` spells the action's own extra names."""

    def constant(self, value: object, hint: str) -> str:
        """A name by which the written lines reach an object (a function, a set, ...)."""

    def variable(self, hint: str, spelled: str = "") -> str:
        """A fresh local variable; `spelled` is what error messages call it."""

    def forward(
        self,
        event: str,
        *,
        is_owned: bool = False,
        is_object: bool = False,
        is_unchanged: bool = False,
    ) -> None:
        """Write what happens downstream with `event` (Python source of a variable). At most once per path of execution.

        `is_unchanged` says that it is still this stage's input event, so that its bytes may be passed through.
        """

    def forward_each(self, items: str, item: str) -> AbstractContextManager[None]:
        """Loop over `items`, with the variable `item`; an item that fails does not stop those behind it."""

    def forward_to(self, stage: str) -> None:
        """Write what one named stage (of `Action.outputs`) does with the unchanged event."""

    def visited(self, route: str) -> None:
        """Mark a route for the coverage of `headrace test`; writes nothing otherwise."""

    def produce(
        self,
        topic: str,
        *,
        is_topic_constant: bool,
        value_format: Format,
        key: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        partition: str | None = None,
        timestamp: str | None = None,
        value: str | None = None,
    ) -> None:
        """Write a record to a topic, in the transaction. All arguments are Python source; None keeps what the run has."""


class InlineAction(Action, ABC):
    """An action that the compiler fuses into one function per sub-topology."""

    @abstractmethod
    def emit(self, code: Code) -> None:
        """Write this stage's lines."""

    def sinks(self) -> tuple["Sink", ...]:
        """The topics that this action writes to."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Sink:
    """A topic that a stage writes to: `topic` is its name, or None when an expression decides per record."""

    topic: str | None
    text: str  # as written in the document
    keeps_event_time: bool = True  # records carry the run's timestamp
    compression: str | None = None
    allows_expired: bool = False


Start = (
    Literal["earliest", "latest"] | int
)  # or milliseconds since 1970 UTC; negative counts back from now


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a trigger reads: the topics that it names or whose whole name matches `pattern` (a regular expression)."""

    topics: tuple[str, ...] = ()
    pattern: str | None = None
    value_format: Format = "json"
    tombstones: Literal["pass", "skip"] = "pass"
    start: Start = "earliest"
    on_data_loss: Literal["fail", "continue"] = "fail"
    key: Expression | None = None
    timestamp: Expression | None = None


class TriggerAction(Action, ABC):
    """A stage without inputs; its records start runs."""

    @abstractmethod
    def source(self) -> Source: ...


@dataclass(frozen=True)
class Outcome:
    """What became of one record of a batch: the events to forward, or the error that the stage's policy decides about."""

    events: Sequence[Any] = ()
    error: BaseException | None = None


class BatchAction(Action, ABC):
    """An action that works on batches and may wait: lookups, calls, queries.

    The engine calls `process` with at most `batch_size` records, on the worker's event loop, never twice at once for the
    same key, and waits for it before the transaction commits. A call to the outside may be seen twice after a crash; `run`
    ids make it idempotent.
    """

    batch_size: ClassVar[int] = 100

    @abstractmethod
    def process(self, events: Sequence[Any], runs: Sequence[str]) -> Awaitable[Sequence[Outcome]]:
        """Return one outcome per event, in order."""


class KeyedContext(Protocol):
    """What a keyed action sees of its task: the state and the timers of one key, and the way on."""

    @property
    def key(self) -> bytes: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def watermark_ms(self) -> int: ...
    def get(self, name: str) -> Any:
        """The value stored under this key and name, or None."""

    def put(self, name: str, value: Any) -> None: ...
    def delete(self, name: str) -> None: ...
    def set_timer(self, name: str, at_ms: int, *, kind: Literal["event", "wall"] = "event") -> None:
        """Replace the timer of this key and name; durable with the next commit."""

    def cancel_timer(self, name: str) -> None: ...
    def forward(self, event: Any, *, timestamp_ms: int | None = None) -> None: ...


class KeyedAction(Action, ABC):
    """An action with state and timers per key: the unit on which windows, joins and waits are built."""

    @abstractmethod
    def key(self) -> Expression | None:
        """The key to group by; None keeps the record's own."""

    @abstractmethod
    def on_record(self, context: KeyedContext, event: Any) -> None: ...

    def on_timer(self, context: KeyedContext, name: str, at_ms: int) -> None:
        """A timer of this key is due."""


ActionLookup = Callable[[str], type[Action]]
