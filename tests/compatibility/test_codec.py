"""Bytes that released versions wrote into stores and changelogs. Nothing here may ever be changed, only added to."""

import math
from typing import Any

import pytest

from headrace.runtime.state.codec import decode, encode, expiry_of

VERSION_1: list[tuple[bytes, Any]] = [
    (b"\x01\xc0", None),
    (b"\x01\xc3", True),
    (b"\x01\x05", 5),
    (b"\x01\xd3\x80\x00\x00\x00\x00\x00\x00\x00", -(2**63)),
    (b"\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 2**64 - 1),
    (b"\x01\xc7\x09\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00", 2**64),
    (b"\x01\xc7\x09\x01\xff\x7f\xff\xff\xff\xff\xff\xff\xff", -(2**63) - 1),
    (b"\x01\xcb\x40\x31\x80\x00\x00\x00\x00\x00", 17.5),
    (b"\x01\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", math.inf),
    (b"\x01\xa5\xc3\xa9t\xc3\xa9", "été"),
    (b"\x01\xc4\x02\x00\xff", b"\x00\xff"),
    (b"\x01\x92\x03\xcb\x40\x31\x80\x00\x00\x00\x00\x00", [3, 17.5]),
    (b"\x01\x82\xa5count\x03\xa4tags\x91\xa1a", {"count": 3, "tags": ["a"]}),
    (b"\x01\x81\x07\xa5seven", {7: "seven"}),
]
VERSION_2: list[tuple[bytes, int, Any]] = [
    (b"\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\xc0", 1_700_000_000_000, None),
    (b"\x02\x00\x00\x01\x8b\xcf\xe5\x68\x7b\x92\x01\xa1x", 1_700_000_000_123, [1, "x"]),
    (b"\x02\x00\x00\x00\x00\x00\x00\x00\x00\x81\xa1k\xc4\x00", 0, {"k": b""}),
]


@pytest.mark.parametrize(("data", "value"), VERSION_1)
def test_version_1_is_read(data: bytes, value: Any) -> None:
    assert decode(data) == value
    assert type(decode(data)) is type(value)
    assert expiry_of(data) is None


@pytest.mark.parametrize(("data", "expires_ms", "value"), VERSION_2)
def test_version_2_is_read(data: bytes, expires_ms: int, value: Any) -> None:
    assert decode(data) == value
    assert expiry_of(data) == expires_ms


@pytest.mark.parametrize(("data", "value"), VERSION_1)
def test_version_1_is_what_is_written_without_an_expiry(data: bytes, value: Any) -> None:
    assert encode(value) == data


@pytest.mark.parametrize(("data", "expires_ms", "value"), VERSION_2)
def test_version_2_is_what_is_written_with_an_expiry(
    data: bytes, expires_ms: int, value: Any
) -> None:
    assert encode(value, expires_ms) == data
