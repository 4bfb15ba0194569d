"""Records that exist only inside of a task: what a keyed stage sends on."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from headrace.runtime.contracts.broker import Headers, Message


@dataclass
class Cause:
    """The record that a task processed last: events that come of timers and commits begin a run that is named after it."""

    topic: str
    partition: int
    offset: int = -1


class Emission:
    """A message for the stages behind a keyed stage. Valid until they have returned."""

    __slots__ = ("cause", "headers_given", "key_bytes", "timestamp_ms")

    def __init__(
        self,
        cause: Cause,
        key: bytes | None,
        timestamp_ms: int,
        headers: Headers | None = None,
    ) -> None:
        self.cause = cause
        self.key_bytes = key
        self.timestamp_ms = timestamp_ms
        self.headers_given = headers

    def topic(self) -> str:
        return self.cause.topic

    def partition(self) -> int:
        return self.cause.partition

    def offset(self) -> int:
        return self.cause.offset

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return None

    def headers(self) -> Headers | None:
        return self.headers_given

    def timestamp(self) -> tuple[int, int]:
        return 1, self.timestamp_ms


def with_time_and_key(message: Message, key: bytes | None, timestamp_ms: int) -> Emission:
    """The message of a record whose run has another key or event time than the record itself."""
    cause = Cause(message.topic(), message.partition(), message.offset())
    return Emission(cause, key, timestamp_ms, message.headers())


def run_as_json(message: Message) -> Any:
    """The run and the headers of a record, to store: JSON has no bytes."""
    headers = [
        [name, None if value is None else b64encode(value).decode()]
        for name, value in message.headers() or ()
    ]
    return [message.topic(), message.partition(), message.offset(), headers]


def message_of(run: Any, key: bytes | None, timestamp_ms: int) -> Emission:
    """A message of the run that `run_as_json` told."""
    topic, partition, offset, headers = run
    given: Headers = [
        (name, None if value is None else b64decode(value)) for name, value in headers
    ]
    return Emission(Cause(topic, partition, offset), key, timestamp_ms, given or None)
