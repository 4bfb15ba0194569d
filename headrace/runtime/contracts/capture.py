"""What the command line asks of a feed that captures a database (`headrace cdc`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from headrace.runtime.contracts.feed import FeedPlace


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that `headrace cdc check` has looked at. `text` says what was found, and what to do unless all is well."""

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str


@dataclass(frozen=True, kw_only=True)
class CaptureStatus:
    """How far a capture is, as stored in Kafka, and what it costs the database."""

    phase: str
    position: Mapping[str, Any]
    tables: Sequence[str] = ()
    pending: Mapping[str, int] = field(default_factory=dict)
    """Per table whose rows are still being read, how many have been."""
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


class CaptureOperation(Protocol):
    """A capture from outside of the worker that runs it. Every call connects, and may take seconds."""

    def check(self) -> Sequence[Finding]:
        """Look at all that must be so in the database."""

    def status(self) -> CaptureStatus: ...

    def ask_for_snapshot(self, tables: Sequence[str], where: str | None) -> Sequence[str]:
        """Ask the worker for the rows of tables, of all when none is named; which tables that are.

        Raises:
            SettingsError: a table is not captured, or has no key.
        """

    def rest(self, *, is_resting: bool) -> str:
        """Let what reads the database rest, or go on; what that is, in words.

        Raises:
            SettingsError: it is the worker.
        """

    def drop(self) -> Sequence[str]:
        """Remove what the capture has made in the database; what that was, in words."""


@runtime_checkable
class Captures(Protocol):
    """A feed that captures a database."""

    def operation(self, place: FeedPlace) -> CaptureOperation: ...
