"""Between records as Kafka has them and values as expressions see them. Called by generated code, per record."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headrace.runtime.contracts.broker import Headers, Message
from headrace.runtime.errors import RecordError, UndecodableError

OWN = "headrace-"
"""Headers that begin so are headrace's: they are replaced and never passed on to a user's topic."""
RUN = "headrace-run"
CROSSING = "headrace-crossing"
TRIGGER = "headrace-trigger"
SENDER = "headrace-sender"
BYTES = "headrace-bytes"
REPLAY = "headrace-replay"
"""The stage that a dead letter is sent back to."""
CALL = "headrace-call"
"""The idempotency key of the call that failed."""
PARTLY_DONE = "headrace-partly-done"
"""The stage that failed may have sent on something of its event, such as for other items of a list."""
SOURCE_TOPIC = "headrace-source-topic"
"""The topic that the record of a dead letter was read from."""
TIMESTAMP_MS_MAX = 253_402_300_799_999  # the end of the year 9999


def decode_text(value: bytes) -> str:
    """A value of `format: text`."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UndecodableError(
            f"byte {error.start} of {len(value)} is not UTF-8; use format: bytes"
        ) from None


def decode_key(key: bytes | None) -> str | bytes | None:
    """A key as expressions see it: text where it is UTF-8."""
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def run_key(value: Any) -> str | bytes | None:
    """The key that a trigger's expression gives a run, as expressions see it: the same before and behind a link topic."""
    encoded = encode_key(value)
    return encoded if encoded is None or isinstance(encoded, str) else decode_key(encoded)


def encode_key(key: Any) -> bytes | str | None:
    """A key as it is written: text and bytes as they are, everything else as JSON."""
    if key is None or key.__class__ is str or key.__class__ is bytes:
        return key
    return _dumps(key, "key")


def encode_text(value: Any) -> bytes | None:
    """A value written with `format: text`."""
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else _dumps(value, "value")


def encode_bytes(value: Any) -> bytes | None:
    """A value written with `format: bytes`."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise RecordError(
        f"format: bytes writes bytes or text, found {type(value).__name__}; use format: json"
    )


def encode_header(value: Any) -> bytes | None:
    """A header's value: text and bytes as they are, everything else as JSON."""
    return encode_text(value)


def _dumps(value: Any, what: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise RecordError(f"the {what} cannot be written as JSON: {error}") from None


def decode_headers(headers: Headers | None) -> dict[str, str | bytes | None]:
    """Headers as expressions see them; the last of several with one name wins."""
    return {name: decode_key(value) for name, value in headers or () if not name.startswith(OWN)}


def plain_headers(message: Message) -> Headers | None:
    """The headers that a user's record carries, without headrace's own."""
    return [pair for pair in message.headers() or () if not pair[0].startswith(OWN)] or None


def add_headers(message: Message, added: Headers) -> Headers:
    """The record's headers and the added ones, which win."""
    names = {name for name, _ in added}
    return [pair for pair in plain_headers(message) or () if pair[0] not in names] + added


def event_time(value: Any) -> int:
    """A timestamp that an expression gave."""
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= TIMESTAMP_MS_MAX
    ):
        return int(value)
    what = "a number out of range" if isinstance(value, int | float) else type(value).__name__
    raise RecordError(f"a timestamp is milliseconds since 1970 UTC, found {what}; see parse_time()")


def run_of(message: Message) -> str:
    """The identity of the run that a trigger record starts."""
    return f"{message.topic()}-{message.partition()}-{message.offset()}"


def header(message: Message, name: str) -> bytes | None:
    """The value of one of headrace's own headers."""
    for key, value in message.headers() or ():
        if key == name:
            return value
    return None


def origin_run(message: Message) -> str:
    """The identity of the run that a record behind a topic of headrace's own belongs to.

    Where no run crosses the topic, such as in front of a window, the record itself begins one.
    """
    told = header(message, RUN)
    return told.decode() if told else run_of(message)


def origin_stage(message: Message) -> str:
    """The trigger that started the run of a record of a link topic."""
    return (header(message, TRIGGER) or b"").decode()


def origin_topic(message: Message) -> str:
    """The topic of the trigger record."""
    return origin_run(message).rsplit("-", 2)[0]


def origin_partition(message: Message) -> int:
    """The partition of the trigger record."""
    return int(origin_run(message).rsplit("-", 2)[1])


def origin_offset(message: Message) -> int:
    """The offset of the trigger record."""
    return int(origin_run(message).rsplit("-", 2)[2])


def link_headers(
    message: Message, event: Any, crossing: Mapping[str, Any] | None, stage: str
) -> Headers:
    """Headers of a record that crosses a link topic behind a trigger."""
    own: Headers = [(RUN, run_of(message).encode()), (TRIGGER, stage.encode())]
    return _link_headers(message, event, crossing, own)


def relink_headers(message: Message, event: Any, crossing: Mapping[str, Any] | None) -> Headers:
    """Headers of a record that crosses a further link topic."""
    own: Headers = [
        (RUN, origin_run(message).encode()),
        (TRIGGER, header(message, TRIGGER) or b""),
    ]
    return _link_headers(message, event, crossing, own)


def _link_headers(
    message: Message, event: Any, crossing: Mapping[str, Any] | None, own: Headers
) -> Headers:
    if crossing is not None:
        own.append((CROSSING, _dumps(crossing, "result of an earlier stage")))
    if isinstance(event, bytes):
        own.append((BYTES, b"1"))
    return (plain_headers(message) or []) + own


def sender_headers(sender: str, headers: Headers | None) -> Headers:
    """Headers of a record whose receiver asks which stage sent it: by its first name, so that it may be renamed meanwhile."""
    return [*(headers or ()), (SENDER, sender.encode())]


def sender_of(message: Message) -> str:
    """The first name of the stage that sent a record through a topic of headrace's own."""
    return (header(message, SENDER) or b"").decode()


def bytes_headers(event: Any) -> Headers | None:
    """Headers of a record that carries no run, where events may be bytes."""
    return [(BYTES, b"1")] if isinstance(event, bytes) else None


def key_bytes(key: Any) -> bytes | None:
    """A key as state knows it."""
    encoded = encode_key(key)
    return encoded.encode() if isinstance(encoded, str) else encoded


def link_key(key: Any) -> bytes:
    """The key by which a keyed stage groups.

    Raises:
        RecordError: it is null.
    """
    encoded = key_bytes(key)
    if encoded is None:
        no_key()
    assert encoded is not None
    return encoded


def no_key() -> None:
    """Refuse a record that a keyed stage cannot group.

    Raises:
        RecordError: always.
    """
    raise RecordError(
        "the record has no key to group by; give the stage a `key`, or filter such records out"
    )


def picked(event: Any, fields: tuple[str, ...]) -> Any:
    """The fields of an event that are read behind a topic, those that it has."""
    if event.__class__ is not dict:
        return event
    return {name: event[name] for name in fields if name in event}


def encode_link(event: Any) -> bytes | None:
    """The value of a record that crosses a link topic where events may be bytes."""
    return event if event is None or isinstance(event, bytes) else _dumps(event, "event")


def decode_link(message: Message) -> Any:
    """The event that crossed a link topic where events may be bytes."""
    value = message.value()
    return value if value is None or header(message, BYTES) else orjson.loads(value)


def decode_crossing(message: Message) -> dict[str, Any]:
    """What the record carries of earlier stages."""
    crossing = header(message, CROSSING)
    return orjson.loads(crossing) if crossing else {}


RECORD_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        add_headers,
        bytes_headers,
        decode_crossing,
        decode_headers,
        decode_key,
        decode_link,
        decode_text,
        encode_bytes,
        encode_header,
        encode_key,
        encode_link,
        encode_text,
        event_time,
        key_bytes,
        link_headers,
        link_key,
        no_key,
        origin_offset,
        origin_partition,
        origin_run,
        origin_stage,
        origin_topic,
        picked,
        plain_headers,
        relink_headers,
        run_key,
        run_of,
        sender_headers,
        sender_of,
    )
}
"""What generated code calls by name, besides the functions of the expression language."""
