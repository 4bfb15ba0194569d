"""What an action is: one class in one file, a pydantic `Config`, and one of four shapes.

An action is found by its name through the entry-point group `headrace.actions`; those of headrace itself are found the same way.

========== ============================ ==========================================================================
shape      for                          contract
========== ============================ ==========================================================================
trigger    kafka, ...                   names the topics that start runs and how their records are decoded
inline     filter, map, publish, ...    writes the Python lines that the compiler fuses into one function
batch      hydrate over HTTP, sql, ...  calls the outside, see `contracts.call`
keyed      reduce, join, dedupe, ...    state and timers per key
========== ============================ ==========================================================================
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from headrace.runtime.contracts.format import Format, WriteFormat
from headrace.runtime.expression import Expression, Template

if TYPE_CHECKING:
    from headrace.runtime.contracts.feed import Feed

__all__ = ["Format", "WriteFormat"]


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

    def specialised(self) -> "Action":
        """The action that carries this config out, where one name stands for actions of several shapes."""
        return self

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

    def placed(self, flow: str, stage: str) -> "TriggerAction":  # noqa: ARG002 # for those with topics of their own
        """The action where it knows its place by the names that topics carry; what it reads may be named after them."""
        return self

    def feed(self) -> "Feed | None":
        """What writes to the topics, where headrace does that itself. Asked of a `placed` action."""
        return None


TimerKind = Literal["event", "wall"]
TABLE = "(table)"
"""What `KeyedContext.input` is for records of the stage's own table (`KeyedAction.table`)."""
SELF = "(self)"
"""What `KeyedContext.input` is for events that the stage has sent to itself (`KeyedContext.send`)."""


class KeyedContext(Protocol):
    """What a keyed action sees of its task: the state and the timers of one key, and the way on.

    Valid only during the call that it was given to. What is written, set and forwarded counts when the call returns: a
    call that raises changes nothing. State and timers are durable with the commit, and go with the key when a partition moves.
    """

    @property
    def key(self) -> bytes: ...
    @property
    def input(self) -> str:
        """The stage that sent the record; empty in timers and at commits."""

    @property
    def timestamp_ms(self) -> int:
        """Event time of the record; in `on_timer` the time that the timer was set for; at commits the watermark."""

    @property
    def watermark_ms(self) -> int:
        """The event time that this stage's inputs have reached: what is older is late. -1 before the first record."""

    @property
    def now_ms(self) -> int:
        """Wall clock, the same during one call."""

    @property
    def run(self) -> Any:
        """The headers and the run of the record as a JSON value, to store beside an event that is forwarded later.

        None in timers and at commits. See `KeyedAction.keeps_run`.
        """

    def get(self, name: str = "") -> Any:
        """The value stored under this key and name, or None. Owned by the store: change a copy and `put` it."""

    def items(self, start: str = "", end: str | None = None) -> Iterator[tuple[str, Any]]:
        """The entries of this key with `start` <= name < `end` (None: to the last), in the order of their names' UTF-8 bytes."""

    def put(self, name: str, value: Any, *, ttl_ms: int | None = None) -> None:
        """Store a value of JSON's types or bytes. Afterwards it belongs to the store.

        With `ttl_ms` the entry goes `ttl_ms` after now, on the clock of the stage (`KeyedAction.ttl_kind`).
        """

    def delete(self, name: str = "") -> None: ...
    def set_timer(self, name: str, at_ms: int, *, kind: TimerKind = "event") -> None:
        """Set, or replace, the timer of this key, kind and name. One whose time has passed is due at once."""

    def cancel_timer(self, name: str, *, kind: TimerKind = "event") -> None: ...
    def forward(
        self, event: Any, *, timestamp_ms: int | None = None, to: str = "", run: Any = None
    ) -> None:
        """Send an event on, to `out` or to one named stage of `Action.outputs`.

        It carries this key, and the headers and the run of the record that is processed, or of the one whose `run` is
        given. The event time is the record's unless given. The event is not copied.
        """

    def late(self, event: Any) -> None:
        """Count the record as late, and send it where the stage's `late` says, if anywhere."""

    def lookup(self, key: bytes) -> Any:
        """The row of this key in the stage's global table, or None."""

    def send(self, key: bytes, event: Any) -> None:
        """Process an event in this stage again, under another key, later: `on_record` with an `input` of `SELF`.

        Through the stage's own topic, in the transaction; only where `KeyedAction.sends` is set.
        """

    def at_commit(self) -> None:
        """Call `on_commit` for this key once, before the next commit: for results at most once per key and commit."""


class KeyedAction(Action, ABC):
    """An action with state and timers per key: the unit on which windows, joins and waits are built.

    All calls for one key come one after the other, from one thread, and see the writes of the calls before them. After an
    abort the state is that of the last commit and the records come again.
    """

    inputs: ClassVar[tuple[int, int | None]] = (1, None)
    """How many stages may send to this one, at least and at most."""
    ttl_kind: ClassVar[TimerKind] = "event"
    sends: bool = False
    """Whether the action calls `KeyedContext.send`."""
    late_stage: str | None = None
    """The stage that gets late records; it is among `outputs`."""
    late_topic: str | None = None
    """The topic that late records are written to."""

    def key(self, sender: str) -> Expression | None:  # noqa: ARG002 # for those who override it
        """The key to group by of records that the stage `sender` sends; None keeps the record's own.

        A key other than the record's own puts a repartition topic in front of the stage.
        """
        return None

    def table(self) -> "TableSource | None":
        """A topic that this stage reads beside its inputs, as a table."""
        return None

    @property
    def is_per_record(self) -> bool:
        """Whether every forwarded event belongs to the run of the record that is being processed.

        Otherwise (windows, waits) stages behind this one cannot mention results of stages before it.
        """
        return False

    @property
    def keeps_run(self) -> bool:
        """Whether headers and runs are needed of records that come through the topic in front of this stage."""
        return self.is_per_record

    def shape(self) -> Mapping[str, Any]:
        """What the stored state looks like, as JSON: state of another shape is refused, unless `migration` can use it.

        Settings that may change without harm (a grace, a bound) are left out. The plan adds what it knows: the key, where no
        name in here ends in `key`, and `sides`.
        """
        config = self.config.model_dump(mode="json", exclude_defaults=True, fallback=str)
        return {"action": type(self).__name__, "config": config}

    def sides(self, senders: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002 # most take all records alike
        """What the state calls the stages that send to this one, where it tells them apart; such a stage may be renamed."""
        return {}

    def migration(self, before: Mapping[str, Any]) -> "Migration | None":  # noqa: ARG002 # most cannot
        """How to go on with state of another shape, where that can be done; None refuses it."""
        return None

    @property
    def delay_ms(self) -> int:
        """How far behind the watermark the event time of a forwarded event can lie."""
        return 0

    def check_inputs(self, inputs: Sequence[str]) -> Iterable[str]:  # noqa: ARG002 # likewise
        """What is wrong with the stages that send to this one, in plain words."""
        return ()

    def shown(self, name: str, value: Any) -> Any:  # noqa: ARG002 # for those that override it
        """An entry of the state as people see it who ask for it: JSON's types and bytes, or None to leave it out.

        Of an accumulator of `fold`, of which `name` is empty, the aggregates as a mapping. Called on any thread; the value is the
        caller's own.
        """
        return value

    def fold(self) -> "Fold | None":
        """How to run this action as accumulators that the compiler inlines, in place of `on_record` and its like."""
        return None

    @abstractmethod
    def on_record(self, context: KeyedContext, event: Any) -> None: ...

    def on_timer(self, context: KeyedContext, name: str, at_ms: int, kind: TimerKind) -> None:
        """A timer of this key is due: the watermark or the wall clock has reached `at_ms`. It is gone already.

        Event timers run before the record that moves the watermark past them is processed.
        """

    def on_commit(self, context: KeyedContext) -> None:
        """The transaction is about to be committed, and this key has asked for it."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """An aggregation of which one accumulator per key and bin is all the state: the fast path of `reduce`.

    Event time is cut into bins of `bin_ms` (0: one bin for all time). A window is `bins` bins side by side and ends with
    every bin: tumbling windows have one, hopping windows several. A record touches one accumulator, whatever `bins` is.

    An accumulator is a flat list of JSON's types. `initial` is Python source of a new one, such as `[0, None]`; `add`
    writes the lines that add `code.event` to the accumulator in a variable (its third argument is source of the event time);
    `result` returns (field, Python source) pairs for an accumulator in a variable; `merge` adds the second accumulator to the
    first, of the same key and a later bin.
    """

    initial: str
    add: Callable[["Code", str, str], None]
    result: Callable[["Code", str], Sequence[tuple[str, str]]]
    merge: Callable[[list[Any], list[Any]], None]
    bin_ms: int = 0
    bins: int = 1
    grace_ms: int = 0
    emit: Literal["updates", "final"] = "updates"
    early_ms: int | None = (
        None  # with final: also every so often, on the wall clock, for the keys that changed
    )
    close: Literal["event", "wall"] = "event"
    idle_ms: int | None = None  # close all windows after so long without a record
    ttl_ms: int | None = (
        None  # without windows: forget a key so long after its last record, in event time
    )


@dataclass(frozen=True)
class Migration:
    """How a stage goes on with state of an earlier shape.

    `convert` makes the accumulator of this shape from one of the earlier shape, which it may change. It is called once for
    every accumulator of a task before the task begins. `summary` says what becomes of the state, in plain words.
    """

    summary: str
    convert: Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A topic read as a compacted table: the last value of each key counts, a tombstone deletes."""

    topic: str
    value_format: Format = "json"
    is_global: bool = False


ActionLookup = Callable[[str], type[Action]]
