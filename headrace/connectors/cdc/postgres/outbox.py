"""The outbox router: inserted rows are messages, sent to the topics that they name."""

import re
from typing import NamedTuple

import orjson

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.postgres.layout import Layout
from headrace.connectors.cdc.source import Headers, SourcePlace

_NOT_IN_TOPICS = re.compile(r"[^a-zA-Z0-9._-]")


class Routed(NamedTuple):
    """The arguments of `Changes.write`."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    partition: int
    headers: Headers


class OutboxRouter:
    """Makes a record of each inserted row; see `config.Outbox`. Updates and deletes of the table are no messages."""

    def __init__(self, place: SourcePlace) -> None:
        assert place.config.outbox is not None
        self._outbox = place.config.outbox
        self._place = place

    def check(self, layout: Layout) -> None:
        """Make sure that the table has the columns.

        Raises:
            CaptureError: it has not.
        """
        outbox = self._outbox
        wanted = [outbox.id, outbox.route, outbox.key, outbox.type, outbox.payload, *outbox.headers]
        wanted += [outbox.timestamp] if outbox.timestamp else []
        if missing := [column for column in wanted if column not in layout.names]:
            raise CaptureError(
                "outbox_columns",
                f"table {layout.name} has no column '{missing[0]}', which 'outbox' asks for; it has {', '.join(layout.names)}",
            )

    def record(self, layout: Layout, row: list[bytes], committed_ms: int) -> Routed:
        """The record of a row. JSON columns become the value as they are, text columns their text."""
        outbox = self._outbox
        found = dict(zip(layout.names, row, strict=True))
        route = _plain(found[outbox.route]) or b""
        topic = _NOT_IN_TOPICS.sub("_", outbox.topic.replace("{type}", route.decode()))
        headers: Headers = [("id", _plain(found[outbox.id])), ("type", _plain(found[outbox.type]))]
        headers += [(name, _plain(found[name])) for name in outbox.headers]
        self._place.partitions(topic)
        return Routed(
            topic,
            _plain(found[outbox.key]),
            _plain(found[outbox.payload]),
            self._timestamp(found, committed_ms),
            -1,
            headers,
        )

    def _timestamp(self, row: dict[str, bytes], committed_ms: int) -> int:
        if self._outbox.timestamp is None:
            return committed_ms
        value = orjson.loads(row[self._outbox.timestamp])
        if isinstance(value, int):
            return value
        from datetime import UTC, datetime

        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            return committed_ms
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _plain(value: bytes) -> bytes | None:
    """The text in a JSON value; other values as they are."""
    if value == b"null":
        return None
    if value.startswith(b'"'):
        text: str = orjson.loads(value)
        return text.encode()
    return value
