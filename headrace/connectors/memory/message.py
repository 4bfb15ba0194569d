"""A record in memory, as consumers see it."""

from typing import Any

from headrace.runtime.contracts.broker import Headers

CREATE_TIME = 1
LOG_APPEND_TIME = 2


class MemoryMessage:
    """See `contracts.broker.Message`. Kept by the log and shared by all who read it."""

    __slots__ = (
        "_headers",
        "_key",
        "_kind",
        "_offset",
        "_partition",
        "_time_ms",
        "_topic",
        "_value",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        kind: int,
        time_ms: int,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._key = key
        self._value = value
        self._headers = headers
        self._kind = kind
        self._time_ms = time_ms

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Headers | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return self._kind, self._time_ms


def as_bytes(value: bytes | str | None) -> bytes | None:
    """Text as UTF-8, the way the Kafka client takes it."""
    return value.encode() if isinstance(value, str) else value


def as_headers(headers: Any) -> Headers | None:
    """A mapping or pairs as pairs of text and bytes; None for no headers."""
    if not headers:
        return None
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, as_bytes(value)) for name, value in pairs]
