"""What an aggregate is: slots of an accumulator, and the Python lines that work on them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol

from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Expression
from headrace.runtime.expression.errors import kind_of, with_article

Argument = Literal["expression", "limit", "keep", "share", "path"]
"""The kinds of arguments: an expression, a whole number, `"first"` or `"last"`, a number from 0 to 1, `"package.module:Name"`."""
Takes = Literal["nothing", "truth", "number", "anything"]
"""What an aggregate wants of its first expression; what it gets is checked before any slot changes."""

NUMBERS: Final = frozenset({int, float})
PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})
"""Types whose values nobody can change: they are kept as they are."""


class Writer(Protocol):
    """The part of the compiler's `Code` that aggregates write with."""

    def line(self, text: str) -> None: ...
    def block(self, header: str) -> AbstractContextManager[None]: ...
    def expression(self, part: Expression) -> str: ...
    def constant(self, value: object, hint: str) -> str: ...
    def variable(self, hint: str, spelled: str = "") -> str: ...


@dataclass(frozen=True)
class Call:
    """An aggregation as it was written: `text` is all of it, the arguments are told apart by their kinds."""

    text: str
    name: str
    expressions: tuple[Expression, ...]
    limit: int | None = None
    keep: str | None = None
    share: float | None = None
    path: str | None = None


@dataclass(frozen=True)
class At:
    """Where one record is added: source of the accumulator, of the event time, and of the values of the expressions.

    `can_be_null` is False where the first value cannot be null. `is_only_sum` says that no other aggregate adds up numbers, so
    that an addition which overflows does so before anything has changed.
    """

    accumulator: str
    slot: int
    timestamp: str
    values: tuple[str, ...]
    can_be_null: bool
    is_only_sum: bool

    @property
    def value(self) -> str:
        """Source of the value of the first expression."""
        return self.values[0]

    def source(self, offset: int = 0) -> str:
        """Source of one of the aggregate's slots."""
        return f"{self.accumulator}[{self.slot + offset}]"


class Aggregate(ABC):
    """One aggregate. A record is added in two steps, so that one that fails changes nothing.

    `prepare` writes lines that may raise and change nothing; `update` writes lines that cannot raise. Null is ignored by all.
    Lists and maps in slots are changed in place.
    """

    slots: ClassVar[int] = 1
    initial: str = "0"
    """Source of the slots of a new accumulator, with commas between them."""
    arguments: ClassVar[tuple[Argument, ...]] = ("expression",)
    needed: ClassVar[int] = 1
    usage: ClassVar[str]
    limit_max: ClassVar[int] = 100_000
    takes: Takes = "anything"
    skips_null: ClassVar[bool] = True
    """Whether `update` is written where the first value is known not to be null."""
    adds: ClassVar[bool] = False
    """Whether it adds up numbers, which may overflow."""

    def __init__(self, call: Call) -> None:
        self.call = call

    @property
    def state(self) -> tuple[object, ...]:
        """Aggregates of equal state share their slots."""
        return (type(self).__name__, *(part.text for part in self.call.expressions))

    def problems(self, window: str | None) -> Sequence[str]:  # noqa: ARG002 # as its contract has it
        """What is wrong with this aggregate over windows of this kind, in plain words.

        `window` names the kind where windows are put together from parts by `merge`, and is None otherwise.
        """
        return ()

    def prepare(self, code: Writer, at: At) -> str:  # noqa: ARG002 # as its contract has it
        """Write what may raise; returns source for `update`."""
        return ""

    @abstractmethod
    def update(self, code: Writer, at: At, prepared: str) -> None: ...

    def result(self, code: Writer, accumulator: str, slot: int) -> str:  # noqa: ARG002 # as its contract has it
        """Source of the result."""
        return f"{accumulator}[{slot}]"

    @abstractmethod
    def merge(self, code: Writer, accumulator: str, other: str, slot: int) -> None:
        """Write what adds another accumulator, of records that came or happened later. Must not raise."""


def refuse_number(value: Any, aggregation: str) -> None:
    """Raise for a value that is no number, unless it is null."""
    if value is not None:
        hint = "; count(...) counts where it is true" if isinstance(value, bool) else ""
        raise refused(aggregation, "numbers", value, hint)


def refused(aggregation: str, wanted: str, value: Any, hint: str = "") -> RecordError:
    """An error that says which aggregate found what."""
    return RecordError(f"{aggregation} takes {wanted}, found {with_article(kind_of(value))}{hint}")


def kept(value: Any, aggregation: str) -> Any:
    """A copy of a list or map for the state, which holds JSON's types only; nobody else sees the copy."""
    if value.__class__ in PLAIN:
        return value
    if isinstance(value, dict):
        return {str(name): kept(part, aggregation) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [kept(part, aggregation) for part in value]
    raise refused(aggregation, "JSON values, which can be kept", value)


def write_kept(code: Writer, value: str, aggregation: str) -> str:
    """Write a variable that holds the value as the state keeps it."""
    name = code.variable("kept")
    plain, keep = code.constant(PLAIN, "plain"), code.constant(kept, "kept")
    code.line(
        f"{name} = {value} if {value}.__class__ in {plain} else {keep}({value}, {aggregation!r})"
    )
    return name
