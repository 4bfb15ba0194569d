"""Requests for snapshots, sent by `headrace cdc snapshot` through a topic."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from headrace.connectors.cdc.progress import read_to_end, signals_topic
from headrace.runtime.contracts.broker import Admin, Reader, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace


class SnapshotRequest(NamedTuple):
    """Read these tables, or all (none named), again."""

    tables: tuple[str, ...]
    where: str | None = None

    def encoded(self) -> bytes:
        return orjson.dumps({"snapshot": {"tables": self.tables, "where": self.where}})


class Signals:
    """Reads requests while a capture streams. Belongs to the feed's thread."""

    def __init__(self, place: FeedPlace, offset: int) -> None:
        self._partition = TopicPartition(signals_topic(place.name), 0)
        self._reader: Reader = place.reader()
        admin: Admin = place.admin()
        try:
            begin = admin.offsets([self._partition], "earliest")[self._partition]
        finally:
            admin.close()
        self._reader.assign({self._partition: max(offset, begin)})

    def new(self) -> tuple[Sequence[SnapshotRequest], int]:
        """Requests that came since the last call, and the offset behind them."""
        found = [request_of(one.value()) for one in self._reader.read(100, 0)]
        return [one for one in found if one], self._reader.positions()[self._partition]

    def close(self) -> None:
        self._reader.close()


def request_of(value: bytes | None) -> SnapshotRequest | None:
    """The request in a record; None when it holds something else."""
    try:
        found: Any = orjson.loads(value or b"")["snapshot"]
        return SnapshotRequest(tuple(map(str, found["tables"])), found.get("where"))
    except (ValueError, KeyError, TypeError):
        return None


def waiting(place: FeedPlace, offset: int) -> tuple[list[SnapshotRequest], int]:
    """The requests from an offset on, and the offset behind them."""
    partition = TopicPartition(signals_topic(place.name), 0)
    records, end = read_to_end(place, partition, offset)
    return [one for one in (request_of(value) for _, value in records) if one], end
