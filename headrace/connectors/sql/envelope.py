"""Debezium's envelope, as `cdc` and Debezium itself write it."""

from collections.abc import Sequence
from typing import Any, Final

from headrace.connectors.sql.changes import Change, Clear, Put, Remove
from headrace.runtime.errors import RecordError

UNAVAILABLE: Final = frozenset(
    {"__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}
)
"""Stands for a large value that an update has not changed, and PostgreSQL therefore not told; the second as bytes in base64."""
_OPERATIONS: Final = frozenset("cruditm")


def is_envelope(event: Any) -> bool:
    """Whether an event looks like an envelope, with or without the schema beside it."""
    if not isinstance(event, dict):
        return False
    if "payload" in event and "schema" in event:
        event = event["payload"]
    return (
        isinstance(event, dict)
        and event.get("op") in _OPERATIONS
        and (("before" in event or "after" in event) or event["op"] in "tm")
    )


def changes_of(event: dict[str, Any], key: Sequence[str]) -> list[Change]:
    """What an envelope does to a copy of its table, whose rows the columns of `key` tell apart.

    Raises:
        RecordError: it is no envelope, or does not have the key.
    """
    if "payload" in event and "schema" in event:
        event = event["payload"]
    operation, before, after = event.get("op"), event.get("before"), event.get("after")
    if operation == "t":
        return [Clear()]
    if operation == "m":
        return []
    if operation == "d":
        return [_remove(before, key, "before")]
    if operation not in ("c", "r", "u", "i") or not isinstance(after, dict):
        raise RecordError(
            "from: debezium needs an event with op (c, r, u, d or t), before and after; this one has none that fit"
        )
    row = {name: value for name, value in after.items() if not _is_unavailable(value)}
    put = Put(_key(row, key, "after"), row, is_whole=len(row) == len(after))
    if operation == "u" and isinstance(before, dict):
        old = {name: before[name] for name in key if name in before}
        if len(old) == len(key) and tuple(old.values()) != put.key and None not in old.values():
            return [Remove(tuple(old.values()), old), put]
    return [put]


def _is_unavailable(value: Any) -> bool:
    return isinstance(value, str) and value in UNAVAILABLE


def _remove(before: Any, key: Sequence[str], where: str) -> Remove:
    if not isinstance(before, dict):
        raise RecordError(
            "from: debezium: a deletion has no 'before', so that its row is unknown; give the source a primary key"
        )
    found = _key(before, key, where)
    return Remove(found, dict(zip(key, found, strict=True)))


def _key(row: dict[str, Any], key: Sequence[str], where: str) -> tuple[Any, ...]:
    lacking = [name for name in key if name not in row]
    if lacking:
        names = ", ".join(list(row)[:10])
        raise RecordError(
            f"from: debezium: '{where}' has no '{lacking[0]}' of the key; it has {names}"
        )
    return tuple(row[name] for name in key)
