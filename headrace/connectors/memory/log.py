"""One partition's records, with the transactions that are open on it."""

from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.contracts.broker import Headers, TopicPartition


class PartitionLog:
    """Records by offset; what an abort hides and what marks a transaction's end is None.

    Like Kafka's, a log gives an offset to the end of each transaction, so offsets have gaps for
    readers. Not locked: the cluster's lock is held by whoever calls.
    """

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.start = 0
        self._entries: list[MemoryMessage | None] = []
        self._open: dict[str, int] = {}  # transactional id -> its first offset here

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.start + len(self._entries)

    @property
    def stable_end(self) -> int:
        """Where read-committed readers stop: at an open transaction, or the end."""
        return min(self._open.values()) if self._open else self.end

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        kind: int,
        time_ms: int,
        transactional_id: str | None,
    ) -> MemoryMessage:
        offset = self.end
        message = MemoryMessage(
            self.name.topic, self.name.partition, offset, key, value, headers, kind, time_ms
        )
        if transactional_id is not None:
            self._open.setdefault(transactional_id, offset)
        self._entries.append(message)
        return message

    def end_transaction(self, transactional_id: str, hidden: list[int]) -> None:
        """Close a transaction on this partition; `hidden` are the offsets that it takes back."""
        self._open.pop(transactional_id, None)
        for offset in hidden:
            if offset >= self.start:
                self._entries[offset - self.start] = None
        self._entries.append(None)

    def read(self, position: int, count: int) -> tuple[list[MemoryMessage], int]:
        """At most `count` records from `position`, and the position after them."""
        end = self.stable_end
        found: list[MemoryMessage] = []
        while position < end and len(found) < count:
            stop = min(end, position + count - len(found))
            entries = self._entries[position - self.start : stop - self.start]
            found += [one for one in entries if one is not None]
            position = stop
        return found, position

    def offset_at(self, time_ms: int) -> int:
        """The first offset whose record is at or after `time_ms`, or the stable end."""
        end = self.stable_end
        for entry in self._entries[: end - self.start]:
            if entry is not None and entry.timestamp()[1] >= time_ms:
                return entry.offset()
        return end

    def delete_before(self, offset: int) -> None:
        """Forget the records before `offset`, which is not past the end."""
        if offset > self.start:
            del self._entries[: offset - self.start]
            self.start = offset
