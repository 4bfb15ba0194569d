"""What the native engine asks of a database: the contract of a source of changes.

A source belongs to one run of the feed and to its thread. It is made, opened, and then either begins (`begin`, `snapshot`,
`start`) or goes on (`start`). Afterwards `poll` is called in a loop. When anything raises, it is closed and a new one is made,
which goes on at the last position that was committed to Kafka.

What raises what: `DatabaseUnavailableError` is tried again after a pause; `CaptureError` ends the feed, with what to do about it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple, Protocol

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.tables import TableName
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.capture import Finding

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Position:
    """How far a source was sent.

    `after` is the end of the last transaction that was sent as a whole, in the source's own words (an LSN, a set of GTIDs).
    `partial` names the transaction behind it of which the first `changes` changes were sent as well.
    """

    after: Mapping[str, Any]
    partial: str = ""
    changes: int = 0


class Changes(Protocol):
    """Where a source writes its changes. What is written is committed together with the position behind it.

    For each transaction: `begin`, then per change `write` for each of its records and `changed`, then `end`. After each
    `changed` and `end` the source looks at `is_full`, and returns from `poll` when it is set.
    """

    is_full: bool

    def begin(self, transaction: str) -> int:
        """A transaction begins; the name is the same when it comes again.

        Returns:
            How many of its changes were sent before: the source passes over as many without writing them.
        """

    def write(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        partition: int = -1,
        headers: Headers | None = None,
    ) -> None:
        """One record; returns at once unless the producer's queue is full."""

    def changed(self) -> None:
        """The records of one change are written."""

    def end(self, after: Mapping[str, Any]) -> None:
        """The transaction is over; also called alone, where the log holds nothing of interest up to `after`."""

    def hurry(self) -> None:
        """The database waits to hear how far we are: commit the position soon."""


class SnapshotRow(NamedTuple):
    """A row of a snapshot as a record."""

    topic: str
    key: bytes | None
    value: bytes
    timestamp_ms: int


@dataclass(frozen=True)
class Chunk:
    """Rows of a table, read while changes stream in.

    `cursor` is where the next chunk begins, None at the end of the table. The rows may be written once the stream `has_reached`
    the point `until`, but for those whose keys were changed since the chunk was read.
    """

    rows: Sequence[SnapshotRow]
    cursor: Any
    until: Any


@dataclass(frozen=True)
class SourceTable:
    """A captured table. Without a key there are no chunks of it, and its records have no key."""

    name: TableName
    topic: str
    has_key: bool
    rows: int = -1  # an estimate; -1 unknown


@dataclass(frozen=True, kw_only=True)
class SourcePlace:
    """What a source is made with.

    `name` is `<prefix>.<flow>.<stage>`. `settings` has a value for each of the feed's settings. `topic` is called for the topic
    of a table before anything is written to it, and makes it; `partitions` counts those of a topic.
    """

    config: CdcConfig
    prefix: str
    name: str
    settings: Mapping[str, Any]
    clock: Clock
    stopped: Event = field(default_factory=Event)
    topic: Callable[[TableName], str]
    partitions: Callable[[str], int]
    tell: Callable[[str], None] = lambda _: None  # what it waits for


class ChangeSource(Protocol):
    """A database as a source of changes; see the module."""

    def open(self) -> None:
        """Connect, and look at what must be so in any case: version, settings, privileges, tables.

        Raises:
            SettingsError: the package for this database is missing, or an option is wrong.
        """

    def identity(self) -> Mapping[str, Any]:
        """What tells this database, and the way it is captured, from others; stored with the position."""

    def begin(self, *, again: bool) -> Mapping[str, Any]:
        """Begin to capture, from now on.

        Holds a consistent view of the tables at this point for `snapshot`. With `again`, what is left of an earlier beginning is
        removed; otherwise what is there under our names is somebody else's.

        Returns:
            `Position.after` of the beginning.
        """

    def verify(self, identity: Mapping[str, Any], position: Position, known: Sequence[str]) -> None:
        """Make sure that the capture of the `known` tables can go on at a position, and nothing was lost in between.

        Raises:
            ChangesLostError: something was.
            CaptureError: it is another database, or set up differently.
        """

    def tables(self) -> Sequence[SourceTable]:
        """The tables that are captured, as far as they exist; those without a key first."""

    def added(self, known: Sequence[str]) -> Sequence[SourceTable]:
        """Begin to capture tables that are chosen and were not, and return all that are not among `known`.

        Every change behind what a later `chunk` of them sees is going to be captured.
        """

    def snapshot(
        self, table: SourceTable, where: str | None
    ) -> Iterator[tuple[Sequence[SnapshotRow], Any]]:
        """The rows of a table as `begin` has seen them, with the cursor behind each part. Only after `begin`."""

    def end_snapshot(self) -> None:
        """Let go of the consistent view."""

    def start(self, position: Position) -> None:
        """Begin to stream from a position."""

    def poll(self, changes: Changes, timeout_s: float) -> None:
        """Write what has come; return when it is full, when the time is over, or soon when nothing is there.

        Also answers the database's questions whether anybody is there, so it is called at least every few seconds.
        """

    def confirm(self, position: Position) -> None:
        """Everything up to `position` is committed to Kafka: the database may forget it."""

    def chunk(self, table: SourceTable, cursor: Any, count: int, where: str | None) -> Chunk | None:
        """The next rows of a table in the order of its key; `cursor` None is its beginning.

        Everything that was streamed so far is visible in it. None asks to come again: rows of a table that was `added` must
        wait.

        Raises:
            ConditionRefusedError: it is the condition that fails; everything else can go on.
        """

    def try_condition(self, table: SourceTable, where: str) -> None:
        """Have the database plan to read a table with a condition; called without `start`.

        Raises:
            CaptureError: it refuses, or (`DatabaseUnavailableError`) knows no such column.
        """

    def has_reached(self, until: Any) -> bool:
        """Whether the stream is past a point of a chunk."""

    def heartbeat(self, known: Sequence[str]) -> None:
        """Called every few seconds while streaming: run `heartbeat_sql`, look whether the `known` tables are still sent.

        Raises:
            CaptureError: it is not.
        """

    def figures(self) -> Mapping[str, float]:
        """Numbers for metrics, such as `lag_bytes` and `log_bytes`. May ask the database."""

    def notes(self) -> Sequence[str]:
        """What people should know while all goes on, such as a table that was dropped. May ask the database."""

    def check(self) -> Sequence[Finding]:
        """Everything that `headrace cdc check` tells; called without `open`, raises nothing but programming errors."""

    def drop(self) -> Sequence[str]:
        """Remove from the database what `begin` has made; what was removed, in words."""

    def close(self) -> None:
        """May be called again, and before `open`."""
