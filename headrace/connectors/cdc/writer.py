"""Where changes become records of Kafka's transactions."""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.progress import KEY, Progress, positions_topic
from headrace.connectors.cdc.source import Headers, Position, SnapshotRow
from headrace.runtime.contracts.broker import Broker, Producer, Reaction
from headrace.runtime.errors import FencedError, RestartError, TransactionError

_COMMIT_TIMEOUT_S = 30.0
_QUEUE_PAUSE_S = 0.05
_NO_HEADERS: Headers = []


class Writer:
    """Implements `source.Changes` over a transactional producer; used by the feed's thread.

    A transaction is begun with the first record and ended by `commit`, which adds the position. A row of a chunk that waits
    (`hold`) is dropped when a change of its key is written, since the change is newer than the row.
    """

    def __init__(
        self, producer: Producer, broker: Broker, name: str, *, batch_rows: int, batch_bytes: int
    ) -> None:
        self._producer = producer
        self._broker = broker
        self._topic = positions_topic(name)
        self._rows_max, self._bytes_max = batch_rows, batch_bytes
        self._rows = self._bytes = 0
        self._is_open = False
        self._held: dict[str, dict[bytes | None, SnapshotRow]] = {}
        self._after: Mapping[str, Any] = {}
        self._partial = ""
        self._sent = 0
        self.is_full = False
        self.is_hurried = False
        self.changes = 0  # of all committed and open transactions since the beginning
        self.last_timestamp_ms = 0  # of the last change

    @property
    def position(self) -> Position:
        """The position behind what was written."""
        return Position(self._after, self._partial, self._sent)

    @property
    def has_records(self) -> bool:
        """Whether a transaction is open."""
        return self._is_open

    def go_on_at(self, position: Position) -> None:
        """Begin at a position; what was written and not committed is given up."""
        self.abort()
        self._after, self._partial = position.after, position.partial
        self._sent = position.changes
        self._held.clear()

    # What a source calls

    def begin(self, transaction: str) -> int:
        if self._partial != transaction:
            self._partial, self._sent = transaction, 0
        return self._sent

    def write(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        partition: int = -1,
        headers: Headers | None = None,
    ) -> None:
        if not self._is_open:
            self._open()
        if self._held and topic in self._held:
            self._drop(topic, key)
        if value:
            self._bytes += len(value)
        try:
            self._producer.produce(
                topic, value, key, partition, None, None, timestamp_ms, headers or _NO_HEADERS
            )
        except Exception as error:  # the broker tells what it asks for
            self._again(error, topic, key, value, timestamp_ms, partition, headers)
        self.last_timestamp_ms = timestamp_ms

    def changed(self) -> None:
        self._sent += 1
        self._rows += 1
        self.changes += 1
        if self._rows >= self._rows_max or self._bytes >= self._bytes_max:
            self.is_full = True

    def end(self, after: Mapping[str, Any]) -> None:
        self._after, self._partial, self._sent = after, "", 0

    def hurry(self) -> None:
        self.is_hurried = True

    # Rows of snapshots

    def write_rows(self, rows: Iterable[SnapshotRow]) -> int:
        """Write rows of a snapshot; returns how many."""
        count = 0
        for topic, key, value, timestamp_ms in rows:
            self.write(topic, key, value, timestamp_ms, 0 if key is None else -1)
            count += 1
        return count

    def hold(self, rows: Iterable[SnapshotRow]) -> None:
        """Keep rows of a chunk until `release`, without those whose keys are changed until then."""
        for row in rows:
            self._held.setdefault(row.topic, {})[row.key] = row

    def forget_held(self) -> None:
        """Drop the rows that are held."""
        self._held.clear()

    def release(self) -> int:
        """Write the rows that are still held; returns how many."""
        held, self._held = self._held, {}
        return sum(self.write_rows(rows.values()) for rows in held.values())

    def _drop(self, topic: str, key: bytes | None) -> None:
        if key is None:  # a truncate
            del self._held[topic]
        else:
            self._held[topic].pop(key, None)

    # Transactions

    def _open(self) -> None:
        self._producer.begin_transaction()
        self._is_open = True

    def _again(
        self,
        error: Exception,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        partition: int,
        headers: Headers | None,
    ) -> None:
        """Wait for room in the producer's queue, or raise what the error asks for."""
        while isinstance(error, BufferError):
            self._producer.poll(_QUEUE_PAUSE_S)
            try:
                self._producer.produce(
                    topic, value, key, partition, None, None, timestamp_ms, headers or _NO_HEADERS
                )
            except Exception as another:  # as in `write`
                error = another
            else:
                return
        reaction = self._broker.reaction(error)
        if reaction is None:
            raise error
        if reaction is Reaction.RECORD:
            size = len(value) if value else 0
            raise CaptureError(
                "record_refused",
                f"a change of {size:,} bytes for topic '{topic}' was refused: {error}; raise 'message_bytes_max' here and"
                " 'max.message.bytes' of the topic, or leave the large column out with 'columns'",
            ) from error
        failure = {Reaction.FENCED: FencedError, Reaction.TRANSACTION: TransactionError}
        raise failure.get(reaction, RestartError)(
            f"could not write to '{topic}': {error}"
        ) from error

    def commit(self, progress: Progress) -> None:
        """Commit what was written, with the progress. Both are durable when it returns.

        Raises:
            TransactionError: abort and go on at the last committed position.
            FencedError: another worker has the feed.
        """
        if not self._is_open:
            self._open()
        self._producer.produce(self._topic, progress.encoded(), KEY)
        self._producer.commit_transaction(_COMMIT_TIMEOUT_S)
        self._is_open = self.is_full = self.is_hurried = False
        self._rows = self._bytes = 0

    def abort(self) -> None:
        """Give up what was written since the last commit."""
        self.is_full = False
        self._rows = self._bytes = 0
        if self._is_open:
            self._is_open = False
            self._producer.abort_transaction(_COMMIT_TIMEOUT_S)
