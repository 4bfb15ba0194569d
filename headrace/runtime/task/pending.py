"""Records that wait for a call, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.runtime.contracts.broker import Message
from headrace.runtime.contracts.call import Call


@dataclass(slots=True)
class Pending:
    """One record at a stage that calls the outside.

    `place` is what keeps its order: its key, or for a record without one something of its own. `failures` counts the attempts so
    far. `entry` is its name in the state, where it waited there.
    """

    message: Message
    call: Call
    place: bytes
    given: Mapping[str, Any] | None
    failures: int = 0
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The call succeeded: events to send on."""

    events: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """The call failed for good, after so many attempts: the stage's `on_error` decides."""

    error: Exception
    failures: int


@dataclass(frozen=True, slots=True)
class Later:
    """To be tried (again) at a time of the wall clock, after so many failures."""

    due_ms: int
    failures: int


Result = Done | Refused | Later
