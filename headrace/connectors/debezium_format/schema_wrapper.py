"""Takes values out of the wrapper `{"schema": ..., "payload": ...}` of Kafka Connect's JsonConverter.

With `schemas.enable` every record repeats its schema, which is several times as long as what it describes. Its text is the same
in every record of a table, so it is parsed once and afterwards recognised by its bytes.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from headrace.runtime.errors import UndecodableError

PAYLOAD: Final = b',"payload":'
BEGINNING: Final = b'{"schema":'
SCHEMAS_MAX: Final = 1_000

Conversion = Callable[[Any], Any]


def unwrapping(conversion_of: Callable[[Any], Conversion | None]) -> Callable[[bytes], Any]:
    """A function from the bytes of a value to its payload, converted as `conversion_of` its schema says.

    It is asked once per schema, with None for values that have none.
    """
    known: dict[bytes, Conversion | None] = {}
    bare: list[Conversion | None] = []

    def unwrapped(value: bytes) -> Any:
        if value.startswith(BEGINNING):
            end = value.find(PAYLOAD) + len(PAYLOAD)
            beginning = value[:end]
            if beginning in known:
                try:
                    payload = orjson.loads(memoryview(value)[end:-1])
                except orjson.JSONDecodeError:
                    return slowly(value)  # which says where, in the whole text
                convert = known[beginning]
                return payload if convert is None else convert(payload)
        return slowly(value)

    def slowly(value: bytes) -> Any:
        event = orjson.loads(value)
        if event.__class__ is dict and event.keys() == {"schema", "payload"}:
            if event["schema"] is not None and event["schema"].__class__ is not dict:
                return event
            convert = conversion_of(event["schema"])
            remember(value, convert)
            return event["payload"] if convert is None else convert(event["payload"])
        if not bare:
            bare.append(conversion_of(None))
        return event if bare[0] is None else bare[0](event)

    def remember(value: bytes, convert: Conversion | None) -> None:
        beginning = value[: value.find(PAYLOAD) + len(PAYLOAD)]
        if not value.startswith(BEGINNING):
            return
        try:
            orjson.loads(beginning + b"null}")
        except orjson.JSONDecodeError:
            return  # a `payload` inside of the schema: what follows it is never JSON, so looking would be in vain
        if len(known) >= SCHEMAS_MAX:
            known.clear()
        known[beginning] = convert

    return unwrapped


def undecodable(error: orjson.JSONDecodeError) -> UndecodableError:
    """What a value that is no JSON is told as; quotes nothing of it."""
    return UndecodableError(f"it is no JSON: {error.msg} at character {error.pos}")
