"""Keys and values of state as they are written in URLs and in JSON."""

import base64
import binascii
import math
from http import HTTPStatus
from typing import Any, Literal

from headrace.runtime.http.problems import ProblemError

Encoding = Literal["text", "base64"]
INTEGER_BITS_MAX = 10_000
"""Python writes no longer ones as decimals, since that takes too long."""


def read_key(data: bytes, encoding: Encoding) -> bytes:
    """The key that a part of a URL stands for: its bytes, or those that they are the base64 of (either alphabet)."""
    if encoding == "text":
        return data
    try:
        standard = data.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "with encoding=base64 a key must be base64"
        ) from None


def encoded(data: bytes) -> str:
    """Base64 as it can stand in a URL."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_fields(key: bytes, encoding: Encoding) -> dict[str, str]:
    """A key in an answer: text where it is UTF-8 and base64 was not asked for."""
    if encoding == "text":
        try:
            return {"key": key.decode()}
        except UnicodeDecodeError:
            pass
    return {"key": encoded(key), "encoding": "base64"}


def key_of(item: dict[str, Any]) -> bytes:
    """The key of an answer."""
    return read_key(item["key"].encode(), item.get("encoding", "text"))


def plain(value: Any) -> Any:
    """A value of state as JSON has it: bytes as base64 under that name, NaN and the infinities as null, keys as text."""
    kind = type(value)
    if kind is dict:
        return {_name(name): plain(inner) for name, inner in value.items()}
    if kind is list or kind is tuple:
        return [plain(inner) for inner in value]
    if kind is bytes:
        return {"base64": base64.b64encode(value).decode()}
    if kind is int and value.bit_length() > INTEGER_BITS_MAX:
        return hex(value)
    if kind is float and not math.isfinite(value):
        return None
    return value


def _name(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    if name is None or isinstance(name, bool):
        return "null" if name is None else str(name).lower()
    return str(name)
