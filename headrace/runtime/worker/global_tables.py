"""Tables that every member holds as a whole: topics read in no group, into the member's store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from headrace.runtime.contracts.action import TableSource
from headrace.runtime.contracts.broker import Admin, Message, Reader, TopicPartition
from headrace.runtime.contracts.format import INLINED, SKIPPED, FormatUse, load_format
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import DataLossError, HeadraceError
from headrace.runtime.plan import Plan
from headrace.runtime.state.layout import OFFSET, end_of
from headrace.runtime.task.formats import Formats
from headrace.runtime.task.records import decode_text

ROWS = b"g"
POSITION = b"mg"
READ_MAX = 10_000
CACHE_MAX = 50_000
DECODE: Mapping[str, Callable[[bytes], Any]] = {
    "json": orjson.loads,
    "text": decode_text,
    "bytes": bytes,
}


class GlobalTables:
    """Rows by flow, stage and key. Belongs to the member's thread, which lets it read a little between batches.

    No record is processed before every table was read to the end that it had at the start. Later changes are seen as they
    come: a lookup is as of now, not as of the record. Rows lie in the store behind `g`, the topic and a zero byte, with how
    far each partition was read beside them, so that a restart reads only what is new.
    """

    def __init__(
        self,
        plans: Iterable[Plan],
        store: Store,
        admin: Admin,
        partitions: Mapping[str, int],
        new_reader: Callable[[], Reader],
        formats: Formats | None = None,
    ) -> None:
        self._decoders = formats or Formats()
        self._tables: dict[tuple[str, str], TableSource] = {}
        for plan in plans:
            for node in plan.graph.nodes:
                table = node.keyed.table() if node.keyed is not None else None
                if table is not None and table.is_global:
                    self._tables[plan.name, node.name] = table
        self._store = store
        self._cache: dict[tuple[str, str, bytes], Any] = {}
        self._formats: dict[str, set[str]] = {}
        for source in self._tables.values():
            self._formats.setdefault(source.topic, set()).add(source.value_format)
        self._read_to: dict[TopicPartition, int] = {}
        self._reader: Reader | None = None
        if not self._tables:
            return
        topics = {table.topic for table in self._tables.values()}
        places = [TopicPartition(t, n) for t in sorted(topics) for n in range(partitions[t])]
        self._ends = admin.ends(places)
        self._earliest = admin.offsets(places, "earliest")
        self._reader = new_reader()
        self._read_to = {
            place: at
            for topic in sorted(topics)
            for place, at in self._known(topic, places).items()
        }
        self._reader.assign(self._read_to)

    def _known(self, topic: str, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where reading goes on; where one partition cannot be continued, the topic is read from its beginning.

        It was made anew then, or some of it was deleted unread; which rows are of which partition is not known.
        """
        of_topic = [place for place in places if place.topic == topic]
        stored = {place: self._store.get(_position_key(place)) for place in of_topic}
        known = {place: OFFSET.unpack(at)[0] for place, at in stored.items() if at is not None}
        if all(self._earliest[one] <= at <= self._ends[one] for one, at in known.items()):
            return {place: known.get(place, self._earliest[place]) for place in of_topic}
        self._forget(topic, of_topic)
        return {place: self._earliest[place] for place in of_topic}

    def _forget(self, topic: str, places: Iterable[TopicPartition]) -> None:
        self._store.write((), [_position_key(place) for place in places], [_range(topic)])

    @property
    def is_ready(self) -> bool:
        """Whether every table was read to the end that it had at the start."""
        return (
            all(self._read_to[place] >= end for place, end in self._ends.items())
            if self._tables
            else True
        )

    def poll(self) -> None:
        """Read what is there, without waiting for more.

        Raises:
            DataLossError: a topic was deleted or made anew under way; a restart reads it from its beginning.
        """
        if self._reader is None:
            return
        try:
            messages = self._reader.read(READ_MAX, 0.0 if self.is_ready else 0.02)
        except DataLossError:
            for topic in self._formats:
                self._forget(topic, [place for place in self._read_to if place.topic == topic])
            raise
        positions = self._reader.positions()
        news = {place: at for place, at in positions.items() if self._read_to.get(place) != at}
        if not messages and not news:
            return
        self._read_to.update(news)
        self._write(messages, news)

    def _write(self, messages: Sequence[Message], news: Mapping[TopicPartition, int]) -> None:
        puts: dict[bytes, bytes | None] = {}
        for message in messages:
            key = message.key()
            if key is None:
                continue  # a row without a key cannot be looked up
            value = message.value()
            if value is not None and self._is_no_row(message.topic(), value):
                continue
            puts[_row_key(message.topic(), key)] = value
            for value_format in self._formats[message.topic()]:
                self._cache.pop((message.topic(), value_format, key), None)
        entries = [(row, value) for row, value in puts.items() if value is not None]
        entries += [(_position_key(place), OFFSET.pack(at)) for place, at in news.items()]
        self._store.write(entries, [row for row, value in puts.items() if value is None])

    def _is_no_row(self, topic: str, value: bytes) -> bool:
        """Whether a record says nothing of a row to anybody who reads the topic."""
        formats = self._formats[topic]
        if any(one in INLINED or not load_format(one).skips for one in formats):
            return False
        try:
            decoders = [self._decoders.function(FormatUse(one, "row")) for one in formats]
            return all(decode(value) is SKIPPED for decode in decoders)
        except HeadraceError:
            return False  # whoever looks it up is told

    def lookup(self, flow: str, stage: str, key: bytes) -> Any:
        """The row of this key in a stage's table, or None; not to be changed."""
        table = self._tables[flow, stage]
        place = (table.topic, table.value_format, key)
        if place in self._cache:
            return self._cache[place]
        data = self._store.get(_row_key(table.topic, key))
        row = None if data is None else self._decoded(table.value_format, data)
        if len(self._cache) >= CACHE_MAX:
            self._cache.clear()
        self._cache[place] = row
        return row

    def _decoded(self, value_format: str, data: bytes) -> Any:
        decode = DECODE.get(value_format) or self._decoders.function(FormatUse(value_format, "row"))
        row = decode(data)
        return None if row is SKIPPED else row

    def close(self) -> None:
        """Stop reading. May be called again."""
        if self._reader is not None:
            self._reader.close()


def _row_key(topic: str, key: bytes) -> bytes:
    return ROWS + topic.encode() + b"\0" + key


def _range(topic: str) -> tuple[bytes, bytes]:
    prefix = ROWS + topic.encode() + b"\0"
    return prefix, end_of(prefix)


def _position_key(place: TopicPartition) -> bytes:
    return POSITION + f"{place.topic}-{place.partition}".encode()
