"""Batches of the engine as transactions of Kafka, each with the position behind it."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.debezium.frames import (
    Again,
    Batch,
    EngineRecord,
    Offsets,
    again_of,
    pair_of,
)
from headrace.connectors.cdc.debezium.properties import HEARTBEAT_PREFIX, class_of
from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.progress import Progress, read_progress, read_to_end
from headrace.connectors.cdc.source import Headers, Position
from headrace.connectors.cdc.topics import Topics
from headrace.connectors.cdc.writer import Writer
from headrace.runtime.contracts.broker import NewTopic, Producer, TopicPartition
from headrace.runtime.contracts.feed import FeedPlace

_SOURCE: Final = b'"source":{'
_TIME: Final = b'"ts_ms":'
_TRUNCATE: Final = b'"op":"t"'
_TAIL: Final = 400


def history_topic(name: str) -> str:
    """The topic of the database's schema, statement by statement; kept for ever, as old changes are read with it."""
    return f"{name}.history"


def is_within_snapshot(offsets: Offsets) -> bool:
    """Whether a position is within a snapshot; also where there is none yet."""
    found = [orjson.loads(value) for _, value in offsets]
    return not found or any(
        one.get("snapshot") not in (None, False, "false") for one in found if one
    )


class Delivery:
    """Writes batches. Belongs to the feed's thread."""

    def __init__(
        self,
        config: CdcConfig,
        prefix: str,
        place: FeedPlace,
        producer: Producer,
        topics: Topics,
    ) -> None:
        self._config = config
        self._place = place
        self._topics = topics
        topics.source_place(prefix)
        self._writer = Writer(
            producer,
            place.broker,
            place.name,
            batch_rows=config.batch_rows,
            batch_bytes=config.batch_bytes,
        )
        self._progress = self._new_progress()
        self._history = TopicPartition(history_topic(place.name), 0)
        self.offsets: list[tuple[str, str]] = []
        self.again: Again | None = None
        self.history: list[str] = []
        self.batches = 0
        self.records = 0
        self.last_timestamp_ms = 0
        self.last_heard_ms = 0

    def _new_progress(self) -> Progress:
        identity = {"engine": "debezium", "connector": class_of(self._config)}
        return Progress("streaming", identity)

    def load(self) -> None:
        """Read what is committed: the position, and the history of the schema.

        Raises:
            CaptureError: another engine or connector wrote it.
        """
        stored = read_progress(self._place)
        self.offsets, self.history = [], self._read_history()
        self.again = None
        if stored is None:
            self._progress = self._new_progress()
            return
        expected = self._new_progress().identity
        if dict(stored.identity) != dict(expected):
            raise CaptureError(
                "other_engine",
                f"the stored position is of {dict(stored.identity)}, and this is {dict(expected)}; a position cannot be carried"
                " over: give the stage another name, or stop the worker and run `headrace cdc drop-slot`, which forgets it",
            )
        self._progress = stored
        assert stored.position is not None
        self.offsets = [(key, value) for key, value in stored.position.after["offsets"]]
        self.again = again_of(stored.position.after.get("again"))

    def _read_history(self) -> list[str]:
        admin = self._place.admin()
        try:
            if self._history.topic not in admin.topics():
                kept = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
                admin.create([NewTopic(name=self._history.topic, partitions=1, config=kept)])
                return []
        finally:
            admin.close()
        found, _ = read_to_end(self._place, self._history, 0)
        return [value.decode() for _, value in found if value]

    @property
    def is_in_snapshot(self) -> bool:
        """Whether the stored position is within a snapshot; also before there is any."""
        return is_within_snapshot(self.offsets)

    def deliver(self, batch: Batch) -> None:
        """Write a batch and commit it.

        Raises:
            TransactionError: nothing of it was committed.
            FencedError: another worker has the feed.
            CaptureError: a record is too large, or a TRUNCATE is to stop the capture.
        """
        self.last_heard_ms = self._place.clock.now_ms()
        for record in batch.records:
            if not record.topic.startswith(HEARTBEAT_PREFIX):
                self._write(record)
        for line in batch.history:
            self._writer.write(self._history.topic, None, line.encode(), self.last_heard_ms, 0)
        offsets = {**dict(self.offsets), **dict(batch.offsets)}
        after: dict[str, Any] = {"offsets": [list(one) for one in offsets.items()]}
        if batch.again is not None:
            after["again"] = pair_of(batch.again)
        self._progress.position = Position(after)
        self._writer.commit(self._progress)
        self.offsets, self.again = list(offsets.items()), batch.again
        self.batches += 1

    def _write(self, record: EngineRecord) -> None:
        topic, key, value, headers = record
        partitions = self._topics.partitions(topic)
        timestamp_ms = _timestamp_of(value) or self.last_heard_ms
        self.last_timestamp_ms = timestamp_ms
        self.records += 1
        if key is not None:
            self._writer.write(topic, key, value, timestamp_ms, -1, _headers_of(headers))
            return
        is_truncate = value is not None and _TRUNCATE in value[-_TAIL:]
        if is_truncate and self._config.truncate == "fail":
            raise CaptureError(
                "truncated", f"the table of topic '{topic}' was truncated, and 'truncate' is fail"
            )
        for partition in range(partitions if is_truncate else 1):
            self._writer.write(topic, None, value, timestamp_ms, partition)

    def abort(self) -> None:
        """Give up what was written since the last commit."""
        self._writer.abort()


def _timestamp_of(value: bytes | None) -> int:
    """When the change was made, out of the envelope's `source`, without reading all of it; 0 where it is not told.

    Quotes within values are escaped, so that the last place that looks like the envelope's `source` is it.
    """
    if value is None:
        return 0
    begin = value.rfind(_SOURCE)
    at = value.find(_TIME, begin) if begin >= 0 else -1
    if at < 0:
        return 0
    digits = value[at + len(_TIME) : at + len(_TIME) + 20]
    end = next((i for i, sign in enumerate(digits) if not 48 <= sign <= 57), len(digits))
    return int(digits[:end] or 0)


def _headers_of(headers: bytes | None) -> Headers | None:
    if headers is None:
        return None
    pairs: Sequence[tuple[str, str | None]] = orjson.loads(headers)
    return [(name, None if value is None else _plain(value)) for name, value in pairs]


def _plain(value: str) -> bytes:
    """The text in a JSON value; other values as they are."""
    return str(orjson.loads(value)).encode() if value.startswith('"') else value.encode()
