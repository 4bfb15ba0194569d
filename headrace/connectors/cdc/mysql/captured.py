"""One captured table: its events become records."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.errors import CaptureError, StopAskedError
from headrace.connectors.cdc.mysql.records import Records
from headrace.connectors.cdc.mysql.shape import Row, Shape
from headrace.connectors.cdc.source import Changes
from headrace.runtime.clock import Clock


class CapturedTable:
    """Writes the changes of one table, in the shape that it has at a place of the log."""

    def __init__(
        self,
        shape: Shape,
        topic: str,
        config: CdcConfig,
        records: Records,
        *,
        clock: Clock,
        partitions: Callable[[str], int],
        next_change: Callable[[], int | None],
    ) -> None:
        self.shape = shape
        self.topic = topic
        self._config = config
        self._records = records
        self._clock = clock
        self._partitions = partitions
        self._next_change = next_change

    def write(self, changes: Changes, event: Any, place: dict[str, Any]) -> Iterator[None]:
        """Write the rows of an event, one per step."""
        data, at, end = _images(event, len(self.shape.names))
        timestamp_ms = event.timestamp * 1000
        name = type(event).__name__
        read = self.shape.read
        while at < end:
            before = after = None
            if name == "WriteRowsEvent":
                after, at = read(data, at)
            else:
                before, at = read(data, at)
                if name == "UpdateRowsEvent":
                    after, at = read(data, at)
            index = self._next_change()
            if index is None:
                continue
            self._write(changes, before, after, timestamp_ms, {**place, "index": index})
            changes.changed()
            yield

    def _write(
        self,
        changes: Changes,
        before: Row | None,
        after: Row | None,
        timestamp_ms: int,
        place: dict[str, Any],
    ) -> None:
        """The records of one change; a change of the key is a delete of the old and a create of the new one."""
        if self._config.outbox is not None:
            if before is None and after is not None:
                self._write_message(changes, after, timestamp_ms)
            return
        old = None if before is None else self._records.key(before, self.shape.key)
        new = None if after is None else self._records.key(after, self.shape.key)
        if before is not None and (after is None or old != new):
            self._record(changes, old, "d", before, None, timestamp_ms, place)
            if self._config.tombstones and old is not None:
                changes.write(self.topic, old, None, timestamp_ms)
            before = None
        if after is not None:
            kind = "u" if before is not None else "c"
            self._record(changes, new, kind, before, after, timestamp_ms, place)

    def _record(
        self,
        changes: Changes,
        key: bytes | None,
        kind: Any,
        before: Row | None,
        after: Row | None,
        timestamp_ms: int,
        place: dict[str, Any],
    ) -> None:
        source = self._records.source(self.shape.name, timestamp_ms, place)
        value = self._records.envelope(kind, before, after, source, self._clock.now_ms())
        changes.write(self.topic, key, value, timestamp_ms, 0 if key is None else -1)

    def truncated(self, changes: Changes, event: Any, place: dict[str, Any]) -> None:
        """One record in every partition, since every key is gone."""
        if self._config.truncate == "fail":
            raise StopAskedError(
                "truncated", f"table {self.shape.name} was truncated, and 'truncate' is fail"
            )
        if self._config.truncate == "ignore" or self._next_change() is None:
            return
        timestamp_ms = event.timestamp * 1000
        source = self._records.source(self.shape.name, timestamp_ms, {**place, "index": 0})
        value = self._records.envelope("t", None, None, source, self._clock.now_ms())
        for partition in range(self._partitions(self.topic)):
            changes.write(self.topic, None, value, timestamp_ms, partition)
        changes.changed()

    def _write_message(self, changes: Changes, row: Row, timestamp_ms: int) -> None:
        """A row of an outbox as the message that it holds."""
        outbox = self._config.outbox
        assert outbox is not None
        used = [outbox.id, outbox.route, outbox.key, outbox.type, outbox.payload, *outbox.headers]
        for column in used:
            if column not in row:
                raise CaptureError(
                    "outbox_column",
                    f"table {self.shape.name} has no column '{column}', which 'outbox' names; it has {', '.join(row)}",
                )
        topic = outbox.topic.replace("{type}", str(row[outbox.route]))
        self._partitions(topic)
        headers = [
            (name, None if row[column] is None else _bytes(row[column]))
            for name, column in (
                ("id", outbox.id),
                ("type", outbox.type),
                *((one, one) for one in outbox.headers),
            )
        ]
        key, payload = row[outbox.key], row[outbox.payload]
        if outbox.timestamp and isinstance(row.get(outbox.timestamp), int):
            timestamp_ms = row[outbox.timestamp]
        changes.write(
            topic,
            None if key is None else _bytes(key),
            None if payload is None else _bytes(payload),
            timestamp_ms,
            headers=headers,
        )


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _images(event: Any, columns: int) -> tuple[bytes, int, int]:
    """The bytes of an event's row images, and where they begin and end.

    Raises:
        CaptureError: they leave columns out, as other values of binlog_row_image than FULL do.
    """
    for bitmap in (event.columns_present_bitmap, getattr(event, "columns_present_bitmap2", None)):
        present = columns if bitmap is None else int.from_bytes(bitmap, "little").bit_count()
        if present < columns:
            raise CaptureError(
                "row_image",
                f"the log holds rows of {event.schema}.{event.table} with {present} of {columns} columns: somebody's session has"
                " another binlog_row_image than FULL; find it, and take a snapshot anew",
            )
    packet = event.packet.packet
    begin = packet._position  # noqa: SLF001 # where the package stopped reading: before the images
    return packet._data, begin, begin + event.event_size - event.packet.read_bytes  # noqa: SLF001 # the same
