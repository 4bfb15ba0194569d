"""How far a capture is: one record in a compacted topic, committed in the same transaction as the changes before it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.source import Position
from headrace.runtime.contracts.broker import NewTopic, Reader, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import BrokerUnavailableError

VERSION = 1
KEY = b"position"
_TIMEOUT_S = 30.0


@dataclass
class Pending:
    """A table whose rows are still to be read: `cursor` is where to go on, None at its beginning.

    `where` is what somebody has asked for, and can be given up. Rows that the capture owes anyway (`is_owed`: of the beginning,
    or of a table that was added) are those that meet the config's condition, besides.
    """

    cursor: Any = None
    where: str | None = None
    rows: int = 0  # written so far
    is_owed: bool = False


@dataclass
class Progress:
    """What is stored. Changed by the feed's thread only.

    ========== ================================================================================
    phase      what is so
    ========== ================================================================================
    beginning  the capture may or may not have begun in the database: begin anew
    snapshot   the consistent view is being read; `pending` tells which tables are not finished
    streaming  changes are sent; `pending` tables are read in chunks meanwhile
    done       `snapshot: only` has read everything
    ========== ================================================================================
    """

    phase: Literal["beginning", "snapshot", "streaming", "done"]
    identity: Mapping[str, Any]
    position: Position | None = None
    tables: list[str] = field(default_factory=list)
    pending: dict[str, Pending] = field(default_factory=dict)
    signals: int = 0  # the offset of the next signal to read
    given_up: dict[str, str] = field(default_factory=dict)
    """Why the latest request for the rows of a table was given up, until they are asked for again."""

    def encoded(self) -> bytes:
        """The value of the record."""
        return orjson.dumps({"version": VERSION, **vars(self)}, default=vars)

    @classmethod
    def decoded(cls, value: bytes) -> "Progress":
        """What `encoded` wrote.

        Raises:
            CaptureError: a later version of headrace wrote it.
        """
        found = orjson.loads(value)
        version = found.pop("version")
        if version != VERSION:
            raise CaptureError(
                "position_version",
                f"the position was written by another version of headrace: its format is {version}, and this one reads {VERSION}",
            )
        position = found.pop("position")
        pending = {name: Pending(**one) for name, one in found.pop("pending").items()}
        return cls(position=Position(**position) if position else None, pending=pending, **found)


def positions_topic(name: str) -> str:
    """The compacted topic of a feed's position."""
    return f"{name}.positions"


def signals_topic(name: str) -> str:
    """The topic in which `headrace cdc snapshot` asks for snapshots."""
    return f"{name}.signals"


def make_topics(place: FeedPlace) -> None:
    """Make the topics of the position and of the signals."""
    kept = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
    admin = place.admin()
    try:
        admin.create(
            [
                NewTopic(name=positions_topic(place.name), partitions=1, config=kept),
                NewTopic(
                    name=signals_topic(place.name), partitions=1, config={"retention.ms": "-1"}
                ),
            ]
        )
    finally:
        admin.close()


def read_progress(place: FeedPlace, *, is_final: bool = True) -> Progress | None:
    """The last committed record, or None before the first one.

    It is final after `init_transactions` of the feed's producer, when nobody else can add one; not so for those who only
    look.
    """
    partition = TopicPartition(positions_topic(place.name), 0)
    found: bytes | None = None
    for key, value in read_to_end(place, partition, 0, is_final=is_final)[0]:
        if key == KEY:
            found = value
    return Progress.decoded(found) if found is not None else None


def read_to_end(
    place: FeedPlace, partition: TopicPartition, start: int, *, is_final: bool = True
) -> tuple[list[tuple[bytes | None, bytes | None]], int]:
    """The committed keys and values of a partition from an offset on, and the offset behind them.

    Raises:
        BrokerUnavailableError: the end was not reached in time.
    """
    admin, reader = place.admin(), place.reader()
    try:
        begin = admin.offsets([partition], "earliest")[partition]
        ends = admin.ends([partition]) if is_final else admin.offsets([partition], "latest")
        end = ends[partition]
        reader.assign({partition: max(begin, start)})
        return _records(place, reader, partition, end), end
    finally:
        reader.close()
        admin.close()


def _records(
    place: FeedPlace, reader: Reader, partition: TopicPartition, end: int
) -> list[tuple[bytes | None, bytes | None]]:
    found: list[tuple[bytes | None, bytes | None]] = []
    deadline_s = place.clock.monotonic_s() + _TIMEOUT_S
    while reader.positions().get(partition, 0) < end:
        found += [(one.key(), one.value()) for one in reader.read(1000, 0.2)]
        if place.clock.monotonic_s() > deadline_s:
            raise BrokerUnavailableError(
                f"{partition} could not be read to its end at offset {end} within {_TIMEOUT_S:g} s; is the cluster healthy?"
            )
    return found
