"""A value of state as bytes, in a store and in a changelog alike.

======= ===============================================================
version bytes after the first, which is the version
======= ===============================================================
1       MessagePack
2       ms since 1970 when it expires (8 bytes, big-endian), MessagePack
======= ===============================================================

Integers beyond 64 bits are MessagePack's extension type 1: two's complement, big-endian, as short as can be. What was written
once is read for ever (`tests/compatibility/test_codec.py`); a change of the format is a new version.
"""

from typing import Any

import ormsgpack

from headrace.runtime.errors import RecordError, RestartError, StoreCorruptError

NESTING_MAX = 250
"""Lists and objects inside each other; the library stops a little later."""

_PLAIN, _EXPIRING = 1, 2
_PLAIN_BYTE, _EXPIRING_BYTE = b"\x01", b"\x02"
_BODY = 9
_BIG_INTEGER = 1

# Nothing becomes something else on the way: dates, enums, subclasses and the like are refused, not turned into text.
_STRICT = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_ANY_KEYS = ormsgpack.OPT_NON_STR_KEYS
_SCALARS = frozenset({type(None), bool, int, float, str, bytes, bytearray, memoryview})
_KEYS = frozenset({type(None), bool, int, float, str, bytes})

_packb = ormsgpack.packb
_unpackb = ormsgpack.unpackb


def encode(value: Any, expires_ms: int | None = None) -> bytes:
    """The bytes of a value: JSON's types with integers of any size, NaN and the infinities, and bytes.

    Tuples come back as lists, bytearrays as bytes. Keys of objects are text or, slower, other scalars.

    Raises:
        RecordError: something in the value is of another type, is text that is not Unicode, or lies too deep.
    """
    try:
        packed = _packb(value, _extend, _STRICT)
    except TypeError as error:
        packed = _pack_with_any_keys(value, error)
    if expires_ms is None:
        return _PLAIN_BYTE + packed
    return _EXPIRING_BYTE + expires_ms.to_bytes(8, "big") + packed


def decode(data: bytes) -> Any:
    """The value of these bytes, whether or not it has expired.

    Raises:
        StoreCorruptError: `encode` did not make these bytes.
        RestartError: a newer headrace made them.
    """
    try:
        version = data[0]
        if version == _PLAIN:
            return _unpackb(data[1:], ext_hook=_contract, option=_ANY_KEYS)
        if version == _EXPIRING:
            return _unpackb(data[_BODY:], ext_hook=_contract, option=_ANY_KEYS)
    except (ValueError, IndexError) as error:
        raise _damaged(len(data)) from error
    raise _newer(version)


def expiry_of(data: bytes) -> int | None:
    """When the value of these bytes expires (ms since 1970); None when it does not.

    Raises:
        StoreCorruptError: `encode` did not make these bytes.
        RestartError: a newer headrace made them.
    """
    version = data[0] if data else None
    if version == _PLAIN:
        return None
    if version != _EXPIRING and version is not None:
        raise _newer(version)
    if len(data) <= _BODY:
        raise _damaged(len(data))
    return int.from_bytes(data[1:_BODY], "big")


def _extend(value: Any) -> ormsgpack.Ext:
    if type(value) is not int:
        raise TypeError
    return ormsgpack.Ext(_BIG_INTEGER, _signed(value))


def _signed(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _contract(tag: int, data: bytes) -> int:
    if tag != _BIG_INTEGER:
        raise ValueError(tag)
    return int.from_bytes(data, "big", signed=True)


def _pack_with_any_keys(value: Any, error: TypeError) -> bytes:
    """What the fast way refused: fine when only its keys are not text."""
    problem = _problem_in(value)
    if problem is not None:
        raise RecordError(f"{problem}; state holds JSON's types and bytes") from error
    return _packb(value, _extend, _STRICT | _ANY_KEYS)


def _problem_in(value: Any) -> str | None:
    """What cannot be encoded, without its contents."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        kind = type(one)
        if kind is dict:
            for key in one:
                problem = _problem_of_key(key)
                if problem is not None:
                    return problem
            waiting += [(inner, depth + 1) for inner in one.values()]
        elif kind is list or kind is tuple:
            waiting += [(inner, depth + 1) for inner in one]
        elif kind not in _SCALARS:
            return f"a value of type {_name(kind)} cannot be kept in state"
        elif kind is str and not _is_unicode(one):
            return "text with half a surrogate pair cannot be kept in state"
        if depth >= NESTING_MAX and kind in (dict, list, tuple):
            return f"a value nested more than {NESTING_MAX} deep cannot be kept in state"
    return None


def _problem_of_key(key: Any) -> str | None:
    kind = type(key)
    if kind not in _KEYS:
        return f"an object with a key of type {_name(kind)} cannot be kept in state"
    if kind is int and not -(2**63) <= key < 2**64:
        return "an object with a key beyond 64 bits cannot be kept in state"
    if kind is str and not _is_unicode(key):
        return "a key with half a surrogate pair cannot be kept in state"
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(kind: type) -> str:
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _damaged(length: int) -> StoreCorruptError:
    return StoreCorruptError(
        f"{length} bytes in a store hold no value of state; wipe the store, it is restored from its changelog"
    )


def _newer(version: int) -> RestartError:
    return RestartError(
        f"the state was written by a newer headrace: its values are of version {version}, this one reads "
        f"{_PLAIN} and {_EXPIRING}; run the version that wrote it, or a newer one"
    )
