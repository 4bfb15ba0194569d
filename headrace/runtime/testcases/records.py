"""Records as tests see them: decoded, with headrace's own headers read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from headrace.runtime.contracts.broker import Message
from headrace.runtime.task.records import OWN, RUN, decode_headers, decode_key


@dataclass(frozen=True, kw_only=True)
class TestRecord:
    """A committed record of a topic.

    `value` is the decoded JSON where the bytes are JSON, else their text, else the bytes; `raw` are the bytes, None for
    a tombstone. `key` and the values of `headers` are text where they are UTF-8.
    """

    __test__: ClassVar[bool] = False  # its name makes pytest look for tests in it

    topic: str
    partition: int
    offset: int
    key: str | bytes | None
    value: Any
    raw: bytes | None
    timestamp: int
    headers: Mapping[str, str | bytes | None]


@dataclass(frozen=True, kw_only=True)
class DeadLetter(TestRecord):
    """A record that failed: `value` is what the failing flow had read, `headers` what it carried then.

    `error` is what went wrong and `error_type` the class of the error; `source_*` tell where the record was read, `run` which
    run it belongs to.
    """

    flow: str
    stage: str
    action: str
    error: str
    error_type: str
    source_topic: str
    source_partition: int
    source_offset: int
    run: str
    details: Mapping[str, str] = field(default_factory=dict)
    """All of headrace's own headers, by name."""


def read_record(message: Message) -> TestRecord:
    """A record of a user's topic."""
    return TestRecord(**_fields(message))


def read_dead_letter(message: Message) -> DeadLetter:
    """A record of a dead-letter topic."""
    own = {
        name: (value or b"").decode(errors="replace")
        for name, value in message.headers() or ()
        if name.startswith(OWN)
    }
    return DeadLetter(
        **_fields(message),
        flow=own["headrace-flow"],
        stage=own["headrace-stage"],
        action=own["headrace-action"],
        error=own["headrace-error"],
        error_type=own["headrace-error-type"],
        source_topic=own["headrace-source-topic"],
        source_partition=int(own["headrace-source-partition"]),
        source_offset=int(own["headrace-source-offset"]),
        run=own[RUN],
        details=own,
    )


def _fields(message: Message) -> dict[str, Any]:
    raw = message.value()
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": decode_key(message.key()),
        "value": _decoded(raw),
        "raw": raw,
        "timestamp": message.timestamp()[1],
        "headers": decode_headers(message.headers()),
    }


def _decoded(raw: bytes | None) -> Any:
    if raw is None:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return decode_key(raw)
