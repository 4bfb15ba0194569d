"""The event that came to a stage and failed there, as a record that can enter the flow at that stage again."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from headrace.runtime.codegen import Entry, LinePlace
from headrace.runtime.codegen.keyed import takes_senders
from headrace.runtime.contracts.broker import Headers, Message
from headrace.runtime.graph import Node
from headrace.runtime.task.emission import Emission
from headrace.runtime.task.records import (
    BYTES,
    CALL,
    CROSSING,
    PARTLY_DONE,
    SENDER,
    TRIGGER,
    header,
    key_bytes,
    plain_headers,
)

CARRIED: Final = (CROSSING, TRIGGER, BYTES, SENDER, CALL)
"""What a record that enters at a stage tells of its run, besides its identity."""
VALUE: Final = "headrace-value"
"""`event` where the value of a dead letter is the event that came to the stage, not the record that was read."""


class StageEvent(NamedTuple):
    """An event with all that the stage, and those behind it, may ask of its run."""

    value: bytes
    key: bytes | None
    timestamp_ms: int
    headers: Headers


def stage_event(place: LinePlace, local: Mapping[str, Any], message: Message) -> StageEvent | None:
    """What came to the stage of a failed line; None where the record that was read is what leads back to it.

    That is so where nothing has come yet (the record cannot be decoded), where the record lies in a topic in front of this very
    stage, and where JSON cannot hold the event. What was sent back to this stage is the event that came to it.

    `local` are the variables of the function that failed.
    """
    if place.entry.is_replay and place.node is place.entry.node:
        return _sent_back(place, message)
    if place.event not in local or not can_enter(place):
        return None
    graph, name, event = place.entry.graph, place.node.name, local[place.event]
    if event is None and message.value() is None and not isinstance(message, Emission):
        return None  # a tombstone
    # A stage that waited for a call kept the results with the record.
    results = dict(local.get("given") or {}) if place.entry.via == "results" else {}
    results |= {
        one: local[variable] for one, variable in place.variables.items() if variable in local
    }
    crossing = {one: results.get(one) for one in graph.crossing(name)}
    try:
        value = event if isinstance(event, bytes) else _encoded(event, message, place.entry)
        own: Headers = [(CROSSING, orjson.dumps(crossing))] if crossing else []
        key = key_bytes(results["key"]) if "key" in results else message.key()
    except TypeError:
        return None
    if isinstance(event, bytes):
        if not place.entry.carries_bytes:
            return None  # nobody would decode it
        own.append((BYTES, b"1"))
    if place.node.keyed is not None and takes_senders(place.node.keyed):
        (sender,) = graph.inputs[name]
        own.append((SENDER, graph.by_name[sender].stage.first_name.encode()))
    if CALL in results:
        own.append((CALL, results[CALL].encode()))
    own += _marks(place)
    own.append((TRIGGER, _trigger(place.entry, message)))
    timestamp_ms = results.get("timestamp", message.timestamp()[1])
    return StageEvent(value, key, timestamp_ms, [*(plain_headers(message) or ()), *own])


def _sent_back(place: LinePlace, message: Message) -> StageEvent | None:
    """What was sent back to a stage that failed again, also where its code has changed the event, or could not decode it."""
    value = message.value()
    if value is None:
        return None
    carried = [pair for pair in message.headers() or () if pair[0] in CARRIED]
    headers = [*(plain_headers(message) or ()), *carried, *_marks(place)]
    return StageEvent(value, message.key(), message.timestamp()[1], headers)


def _marks(place: LinePlace) -> Headers:
    return [(PARTLY_DONE, b"1")] if place.is_partly_done else []


def _encoded(event: Any, message: Message, entry: Entry) -> bytes:
    """An event as JSON: as it was read, where it is still what was read.

    Raises:
        TypeError: JSON cannot hold it, or would make something else of it, as of a date, or of a number that is none.
    """
    encoded, read = orjson.dumps(event), message.value()
    if orjson.loads(encoded) != event:
        raise TypeError("the event is another one behind JSON")
    if entry.value_format != "json" or read is None:
        return encoded
    try:
        return read if orjson.dumps(orjson.loads(read)) == encoded else encoded
    except orjson.JSONDecodeError:  # bytes that crossed a topic of headrace's own
        return encoded


def can_enter(place: LinePlace) -> bool:
    """Whether events can enter the flow at the stage of a line as they came to it there."""
    entry, node = place.entry, place.node
    is_behind_topic = node.name in entry.link_topics and not (
        entry.is_replay and node is entry.node
    )
    if node.is_trigger or is_behind_topic or _is_row(entry, node):
        return False
    if place.is_alone and getattr(node.action.config, "call", None) is not None:
        return False  # the function that failed may have changed the event
    is_told = len(entry.graph.inputs[node.name]) == 1
    return is_told or node.keyed is None or not takes_senders(node.keyed)


def _is_row(entry: Entry, node: Node) -> bool:
    return entry.via == "table" and node is entry.node


def _trigger(entry: Entry, message: Message) -> bytes:
    if entry.via == "trigger":
        return entry.node.name.encode()
    return header(message, TRIGGER) or b""
