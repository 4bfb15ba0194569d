"""What the engine's process and the worker say to each other, over the process's standard input and output.

A frame is a kind (one byte), a length (four bytes, little-endian) and so many bytes. The worker sends `start` once, then
`committed` after each batch; the process sends batches, events of its life, and `end` as its last.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

START: Final = b"S"
COMMITTED: Final = b"C"
BATCH: Final = b"B"
LIFE: Final = b"L"
FIGURES: Final = b"F"
END: Final = b"E"
_HEAD = struct.Struct("<cI")
_RECORD = struct.Struct("<Hiii")
_NONE = -1


class Frame(NamedTuple):
    """One message."""

    kind: bytes
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class EngineRecord(NamedTuple):
    """A record as the engine made it. `headers` is JSON: pairs of a name and a text."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: bytes | None


Offsets = Sequence[tuple[str, str]]
"""Per source partition the position behind a batch, both as the JSON that the engine's own store would hold."""


class Again(NamedTuple):
    """How many records of one entry of the log come again behind a position, although they were delivered."""

    entry: int
    records: int


@dataclass(frozen=True)
class Batch:
    """Records that belong together with the position behind them. `history` are new lines of the schema's history.

    Where `offsets` is empty, the position stays as it was. `again` are records of this batch and of those before it that are
    behind the position.
    """

    records: Sequence[EngineRecord]
    offsets: Offsets
    history: Sequence[str] = ()
    again: Again | None = None


def write_frame(stream: BinaryIO, kind: bytes, body: bytes) -> None:
    """Send one frame; waits while the pipe is full."""
    stream.write(_HEAD.pack(kind, len(body)))
    stream.write(body)
    stream.flush()


def write_json(stream: BinaryIO, kind: bytes, body: Any) -> None:
    """Send one frame whose body is JSON."""
    write_frame(stream, kind, orjson.dumps(body))


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame; None when the other side is gone, also in the middle of a frame."""
    head = _read(stream, _HEAD.size)
    if head is None:
        return None
    kind, length = _HEAD.unpack(head)
    body = _read(stream, length)
    return None if body is None else Frame(kind, body)


def _read(stream: BinaryIO, size: int) -> bytes | None:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode_batch(batch: Batch) -> bytes:
    """The body of a `BATCH` frame."""
    topics = {
        topic: number
        for number, topic in enumerate(dict.fromkeys(one.topic for one in batch.records))
    }
    head = orjson.dumps(
        {
            "topics": list(topics),
            "count": len(batch.records),
            "offsets": batch.offsets,
            "history": batch.history,
            "again": pair_of(batch.again),
        }
    )
    parts = [struct.pack("<I", len(head)), head]
    for topic, *fields in batch.records:
        lengths = (_NONE if field is None else len(field) for field in fields)
        parts.append(_RECORD.pack(topics[topic], *lengths))
        parts += [field for field in fields if field is not None]
    return b"".join(parts)


def decode_batch(body: bytes) -> Batch:
    """What `encode_batch` made."""
    (size,) = struct.unpack_from("<I", body)
    head = orjson.loads(body[4 : 4 + size])
    at = 4 + size
    records = []
    for _ in range(head["count"]):
        topic, *lengths = _RECORD.unpack_from(body, at)
        at += _RECORD.size
        fields: list[bytes | None] = []
        for length in lengths:
            if length == _NONE:
                fields.append(None)
            else:
                fields.append(body[at : at + length])
                at += length
        records.append(EngineRecord(head["topics"][topic], *fields))
    offsets = [(key, value) for key, value in head["offsets"]]
    return Batch(records, offsets, head["history"], again_of(head["again"]))


def pair_of(again: Again | None) -> list[int] | None:
    """What JSON can hold."""
    return list(again) if again is not None else None


def again_of(pair: Sequence[int] | None) -> Again | None:
    """What JSON made a list of."""
    return Again(*pair) if pair else None
