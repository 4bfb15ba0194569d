"""Values of expressions as the names of entries in state."""

import hashlib
from typing import Any, Final

import orjson

from headrace.runtime.errors import RecordError

NAME_LENGTH_MAX: Final = 100


def identity_of(value: Any, what: str) -> str:
    """A text that is the same for equal JSON values, and for no others; long ones become a digest of 256 bits.

    `1` and `1.0` differ, as `1` and `"1"` do.

    Raises:
        RecordError: the value has no JSON; `what` is the config key that gave it.
    """
    if isinstance(value, bytes):
        text = "b" + value.hex()
    else:
        try:
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError as error:
            raise RecordError(f"{what}: the value cannot be written as JSON: {error}") from None
    if len(text) <= NAME_LENGTH_MAX:
        return text
    return "#" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
