"""Values of state as bytes."""

import datetime
import enum
import math
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.errors import RecordError, RestartError, StoreCorruptError
from headrace.runtime.state.codec import NESTING_MAX, decode, encode, expiry_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
KEYS = st.text() | st.integers(min_value=-(2**63), max_value=2**64 - 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
EXPIRIES = st.none() | st.integers(min_value=0, max_value=2**64 - 1)


class Colour(enum.IntEnum):
    RED = 1


class Tagged(dict[str, int]):
    pass


@dataclass
class Point:
    x: int


@given(VALUES, EXPIRIES)
def test_a_value_comes_back_as_it_was(value: Any, expires_ms: int | None) -> None:
    data = encode(value, expires_ms)

    assert repr(decode(data)) == repr(value)
    assert expiry_of(data) == expires_ms


def test_not_a_number_comes_back() -> None:
    assert math.isnan(decode(encode(math.nan)))


def test_tuples_come_back_as_lists() -> None:
    assert decode(encode((1, (2, 3)))) == [1, [2, 3]]


@pytest.mark.parametrize("key", [1, 1.5, True, None, b"x"])
def test_keys_may_be_scalars_other_than_text(key: Any) -> None:
    assert decode(encode({"nested": [{key: 2**70}]})) == {"nested": [{key: 2**70}]}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({1}, "set"),
        (object(), "object"),
        (Decimal(1), "decimal.Decimal"),
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), "datetime.datetime"),
        (uuid.UUID(int=1), "uuid.UUID"),
        (Colour.RED, f"{__name__}.Colour"),
        (Tagged(a=1), f"{__name__}.Tagged"),
        (Point(1), f"{__name__}.Point"),
    ],
)
def test_an_unsupported_type_is_named(value: Any, name: str) -> None:
    for holder in (value, [1, value], {"a": {"b": value}}):
        with pytest.raises(RecordError, match=f"a value of type {name} cannot be kept"):
            encode(holder)


@pytest.mark.parametrize(
    "key", [(1, 2), Colour.RED, uuid.UUID(int=1), datetime.date(2024, 1, 1), frozenset({1})]
)
def test_an_unsupported_key_is_an_error_of_the_record(key: Any) -> None:
    with pytest.raises(RecordError, match=f"key of type .*{type(key).__name__}"):
        encode([{key: 1}])


def test_a_key_beyond_64_bits_is_an_error_of_the_record() -> None:
    with pytest.raises(RecordError, match="beyond 64 bits"):
        encode({2**64: 1})


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, [{1: "\ud800"}]])
def test_half_a_surrogate_pair_is_an_error_of_the_record(value: Any) -> None:
    with pytest.raises(RecordError, match="surrogate"):
        encode(value)


def test_values_nest_up_to_the_limit() -> None:
    deepest = nested(NESTING_MAX)

    assert decode(encode(deepest)) == deepest


@pytest.mark.parametrize("depth", [NESTING_MAX + 10, 10_000])
def test_deeper_values_are_an_error_of_the_record(depth: int) -> None:
    with pytest.raises(RecordError, match=f"more than {NESTING_MAX} deep"):
        encode(nested(depth))


def test_a_value_that_holds_itself_is_an_error_of_the_record() -> None:
    value: list[Any] = []
    value.extend([value, value])

    with pytest.raises(RecordError, match="deep"):
        encode(value)


@pytest.mark.parametrize("read", [decode, expiry_of])
def test_a_newer_version_is_told_apart_from_damage(read: Any) -> None:
    with pytest.raises(RestartError, match=r"written by a newer headrace: .* version 3"):
        read(b"\x03\x01")


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x01\x93\x01", b"\x02\x00\x00", b"\x01\xc1", b"\x01\xd4\x02\x00"]
)
def test_bytes_that_hold_no_value_are_damage(data: bytes) -> None:
    with pytest.raises(StoreCorruptError, match="hold no value"):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00"])
def test_an_expiry_that_is_cut_off_is_damage(data: bytes) -> None:
    with pytest.raises(StoreCorruptError, match="hold no value"):
        expiry_of(data)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value
