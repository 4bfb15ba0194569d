"""Two tables, where each row of the left one names a row of the right one: many to one.

A left row lives under its own key, and *subscribes* at its foreign key, where the right row lives. These are different keys,
mostly of different tasks, so the stage sends events to itself (the shape is that of KIP-213):

=========== ============================ ===================================================================
sent to     event                        when
=========== ============================ ===================================================================
foreign key {subscribe: key, version}    the left row has changed; it is answered with the right row
foreign key {unsubscribe: key}           the left row is gone, or names another right row now
left key    {answer: row, version, time} to a subscription, and to every subscriber when the right row changes
=========== ============================ ===================================================================

The version is a digest of the left row that asked; an answer to another version is stale, and a newer one is on its way.

Names in the state of a key: `l` (a left row with its event time, foreign key, version, and whether it has a result), `r` (a
right row with its event time), and `s` + left key (a subscription: its version), one entry each however many there are.
"""

import hashlib
from typing import Any, Final

import orjson

from headrace.operators.join.config import ROW_NAMES, JoinConfig
from headrace.operators.join.keyed_join import KeyedJoin
from headrace.operators.join.names import key_bytes
from headrace.runtime.contracts.action import SELF, KeyedContext
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.computation import Computation
from headrace.runtime.task.records import decode_key, encode_key

LEFT: Final = "l"
RIGHT: Final = "r"
SUBSCRIBER: Final = "s"
AFTER_SUBSCRIBERS: Final = "t"


class ForeignKeyJoin(KeyedJoin):
    """Emits under the left row's key. Inner and left; the result of a left row whose foreign key is null is that of no match."""

    kind = "foreign-key join"
    sends = True

    def __init__(self, config: JoinConfig) -> None:
        super().__init__(config)
        assert config.foreign_key is not None
        self._foreign_key = Computation("foreign_key", config.foreign_key, *ROW_NAMES)

    def detail(self) -> str:
        return f" by {self._foreign_key.expression}"

    def on_record(self, context: KeyedContext, event: Any) -> None:
        if context.input == SELF:
            self._on_own(context, event)
            return
        if isinstance(event, bytes):
            raise RecordError(
                "a foreign-key join sends rows between keys as JSON, found bytes; use format: json"
            )
        if self._side(context.input) == "left":
            self._on_left(context, event)
        else:
            self._on_right(context, event)

    def _on_left(self, context: KeyedContext, row: Any) -> None:
        before = context.get(LEFT) or {"foreign": None, "has_result": False}
        foreign = None if row is None else self._foreign(context, row)
        old, key = before["foreign"], text_of(context.key)
        if old is not None and old != foreign:
            context.send(bytes_of(old), {"unsubscribe": key})
        if row is None:
            context.delete(LEFT)
            if before["has_result"]:
                context.forward(None)
            return
        after = {
            "row": [context.timestamp_ms, row],
            "foreign": foreign,
            "version": version_of(row),
            "has_result": before["has_result"],
        }
        if foreign is None:
            self._emit(context, after, None, context.timestamp_ms)
        else:
            context.put(LEFT, after)
            context.send(bytes_of(foreign), {"subscribe": key, "version": after["version"]})

    def _on_right(self, context: KeyedContext, row: Any) -> None:
        if row is None:
            context.delete(RIGHT)
        else:
            context.put(RIGHT, [context.timestamp_ms, row])
        for name, version in context.items(SUBSCRIBER, AFTER_SUBSCRIBERS):
            answer = {"answer": row, "version": version, "time": context.timestamp_ms}
            context.send(bytes_of(name[1:]), answer)

    def _on_own(self, context: KeyedContext, event: Any) -> None:
        if "unsubscribe" in event:
            context.delete(SUBSCRIBER + event["unsubscribe"])
        elif "subscribe" in event:
            context.put(SUBSCRIBER + event["subscribe"], event["version"])
            right = context.get(RIGHT)
            time_ms, row = (context.timestamp_ms, None) if right is None else right
            answer = {"answer": row, "version": event["version"], "time": time_ms}
            context.send(bytes_of(event["subscribe"]), answer)
        else:
            left = context.get(LEFT)
            if left is not None and left["version"] == event["version"]:
                self._emit(context, left, event["answer"], event["time"])

    def _emit(self, context: KeyedContext, left: Any, right: Any, right_time_ms: int) -> None:
        """Store the left row with, and forward, what its result is now."""
        left_time_ms, row = left["row"]
        time_ms = max(left_time_ms, right_time_ms)
        has_result = right is not None or self.config.type == "left"
        context.put(LEFT, {**left, "has_result": has_result})
        if has_result:
            context.forward(self._result(context, row, right, time_ms), timestamp_ms=time_ms)
        elif left["has_result"]:
            context.forward(None, timestamp_ms=time_ms)

    def _foreign(self, context: KeyedContext, row: Any) -> str | None:
        """The foreign key of a left row, as state and events of this stage have keys."""
        key = self._foreign_key(row, decode_key(context.key), context.timestamp_ms)
        encoded = encode_key(key)
        return None if encoded is None else text_of(key_bytes(encoded))


def text_of(key: bytes) -> str:
    """A key in JSON and in names: one character per byte, in the same order."""
    return key.decode("latin-1")


def bytes_of(key: str) -> bytes:
    """The key that `text_of` wrote."""
    return key.encode("latin-1")


def version_of(row: Any) -> str:
    """A digest of a row: rows that are equal have the same, so that it needs no counter that outlives the row."""
    text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()
