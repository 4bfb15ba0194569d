"""Whether a broker answers: one Metadata request over a bare socket, so that no client library is needed."""

import socket
import struct

METADATA_KEY, METADATA_VERSION = (
    3,
    2,
)  # version 2 is the first with the cluster id, and Kafka 4 still speaks it


def answering_cluster(port: int, timeout_s: float = 1.0) -> str | None:
    """The cluster id of the broker on this port of 127.0.0.1, once it has registered itself; None until then.

    Also None for a program there that does not speak Kafka.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            no_topics = struct.pack(">i", 0)
            request = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, -1) + no_topics
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 0 < size <= 1_000_000:
                return None
            return _cluster_id(_receive(connection, size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("closed before the whole answer was there")
        received += part
    return bytes(received)


def _cluster_id(answer: bytes) -> str | None:
    """Reads: correlation id, brokers as (id, host, port, rack), cluster id; ignores the rest."""
    _, brokers = struct.unpack_from(">ii", answer)
    position = 8
    for _ in range(brokers):
        position += 4
        _, position = _string(answer, position)
        position += 4
        _, position = _string(answer, position)
    cluster_id, _ = _string(answer, position)
    return cluster_id if brokers > 0 else None


def _string(answer: bytes, position: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", answer, position)
    position += 2
    if length < 0:
        return None, position
    if position + length > len(answer):
        raise struct.error("the text is longer than the answer")
    return answer[position : position + length].decode("utf-8"), position + length
