"""Reading state beside whoever writes it, against naive models: entries, accumulators, what has expired and what is closed."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.operators.dedupe import Dedupe
from headrace.operators.reduce import Reduce
from headrace.runtime.contracts.action import KeyedAction
from headrace.runtime.contracts.store import Store
from headrace.runtime.http import stored as stored_module
from headrace.runtime.http.keys import encoded, key_fields, plain, read_key
from headrace.runtime.http.pages import Page, Span, merged, read_page
from headrace.runtime.http.stored import Stored, TooWideError, Wanted
from headrace.runtime.state.codec import encode
from headrace.runtime.state.layout import (
    accumulator_key,
    entry_key,
    region_of,
    store_number,
)
from headrace.runtime.state.memory_store import MemoryStoreKind
from headrace.runtime.task.stored_stage import MEMORY
from tests.unit.operators.keyed_world import action_of

CHANGELOG = "headrace.flow.stage.changelog"
BYTES = st.binary(max_size=3)
NAMES = st.text("ab", max_size=2)


def opened(tmp: Any = None) -> Store:
    return MemoryStoreKind().open(tmp, cache_bytes=8 << 20)


def put(store: Store, partition: int, entries: dict[bytes, bytes]) -> None:
    region = region_of(store_number(store, CHANGELOG), partition)
    store.write([(region + key, value) for key, value in entries.items()])


def looking(store: Store, action: KeyedAction, *, partition: int = 0, now_ms: int = 0) -> Stored:
    return Stored(store, CHANGELOG, partition, action=action, fold=action.fold(), now_ms=now_ms)


def dedupe() -> KeyedAction:
    made = action_of(Dedupe, within="1h")
    assert isinstance(made, KeyedAction)
    return made


def reduce(**config: Any) -> KeyedAction:
    made = action_of(Reduce, aggregate={"n": "count()"}, **config)
    assert isinstance(made, KeyedAction)
    return made


def pages(store: Store, action: KeyedAction, span: Span, wanted: Wanted) -> Iterator[Page]:
    start: bytes | None = span.start
    while start is not None:
        page = read_page(
            looking(store, action), 0, Span(start, span.end, span.limit), wanted, "base64"
        )
        yield page
        start = page.following


@given(
    entries=st.dictionaries(st.tuples(BYTES, NAMES), st.integers(), max_size=20),
    start=BYTES,
    end=st.none() | BYTES,
    limit=st.integers(1, 5),
)
def test_pages_of_entries_hold_every_key_once_in_the_order_of_bytes(
    entries: dict[tuple[bytes, str], int], start: bytes, end: bytes | None, limit: int
) -> None:
    store = opened()
    put(store, 0, {entry_key(*place): encode(value) for place, value in entries.items()})
    put(store, 1, {entry_key(b"other", ""): encode(1)})
    expected: dict[bytes, dict[str, int]] = {}
    for (key, name), value in sorted(entries.items()):
        if key >= start and (end is None or key < end):
            expected.setdefault(key, {})[name] = value

    found = [
        item
        for page in pages(store, dedupe(), Span(start, end, limit), Wanted())
        for item in page.items
    ]

    assert [(item["key"], item["entries"]) for item in found] == [
        (encoded(key), value) for key, value in expected.items()
    ]


@given(
    bins=st.dictionaries(
        st.tuples(st.integers(0, 8).map(lambda n: n * 5), BYTES), st.integers(1, 9), max_size=25
    ),
    closed=st.integers(0, 40),
    times=st.tuples(st.integers(-10, 45), st.integers(0, 30)).map(lambda t: (t[0], t[0] + t[1])),
    limit=st.integers(1, 4),
)
def test_windows_hold_the_sum_of_their_bins_unless_they_are_closed(
    bins: dict[tuple[int, bytes], int], closed: int, times: tuple[int, int], limit: int
) -> None:
    action = reduce(window={"hopping": "15ms", "every": "5ms"})
    store = opened()
    put(store, 0, {accumulator_key(*place): encode([count]) for place, count in bins.items()})
    put(store, 0, {MEMORY: encode({"closed": closed, "watermark": closed})})
    expected: dict[bytes, dict[int, int]] = {}
    for (bin_start, key), count in bins.items():
        for start in (bin_start - 10, bin_start - 5, bin_start):
            if start + 15 > closed and times[0] <= start < times[1]:
                of_key = expected.setdefault(key, {})
                of_key[start] = of_key.get(start, 0) + count
    wanted = Wanted(times=times)

    for key in {key for _, key in bins}:
        found = looking(store, action).get(key, wanted)
        windows = [] if found is None else [(one["start"], one["n"]) for one in found.entries]
        assert windows == sorted(expected.get(key, {}).items())
    walked = [
        item for page in pages(store, action, Span(b"", None, limit), wanted) for item in page.items
    ]

    assert [item["key"] for item in walked] == [encoded(key) for key in sorted(expected)]


def test_many_windows_of_a_key_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "BINS_MAX", 5)
    action = reduce(window={"hopping": "15ms", "every": "5ms"})
    store = opened()
    put(store, 0, {accumulator_key(n * 5, b"k"): encode([1]) for n in range(12)})
    found: dict[int, int] = {}
    following: Any = -100

    while following is not None:
        part = looking(store, action).get(b"k", Wanted(times=(following, 2**62), limit=2))
        assert part is not None
        assert not found.keys() & {one["start"] for one in part.entries}
        found |= {one["start"]: one["n"] for one in part.entries}
        following = part.following

    assert found == {-10: 1, -5: 2, **{n * 5: 3 for n in range(10)}, 50: 2, 55: 1}


def test_expired_entries_and_accumulators_are_left_out_by_the_clock_of_the_stage() -> None:
    store = opened()
    entries = {entry_key(b"k", name): encode(name, at) for name, at in (("old", 99), ("new", 101))}
    put(store, 0, {**entries, MEMORY: encode({"watermark": 100})})
    put(store, 1, {accumulator_key(0, b"k"): encode([1], 100), MEMORY: encode({"watermark": 100})})

    found = looking(store, dedupe(), now_ms=1_000_000).get(b"k", Wanted())
    whole = looking(store, reduce(ttl="1h"), partition=1).get(b"k", Wanted())

    assert found is not None
    assert found.entries == {"new": "new"}
    assert whole is None


def test_walking_keys_over_too_many_windows_asks_for_fewer() -> None:
    action = reduce(window={"tumbling": "1ms"})
    store = opened()
    put(store, 0, {accumulator_key(n, b"k"): encode([1]) for n in range(600)})

    with pytest.raises(TooWideError, match="from and to"):
        list(looking(store, action).walk(b"", None, Wanted()))

    ((key, found),) = looking(store, action).walk(b"", None, Wanted(times=(5, 8)))
    assert key == b"k"
    assert found is not None
    assert [one["start"] for one in found.entries] == [5, 6, 7]


def test_a_walk_that_takes_too_long_goes_on_where_it_was() -> None:
    store = opened()
    put(store, 0, {entry_key(bytes([n]), ""): encode(n) for n in range(10)})
    wanted = Wanted(is_over=lambda: True)

    found = [page.items for page in pages(store, dedupe(), Span(b"", None, 5), wanted)]

    assert [item["entries"][""] for items in found for item in items] == list(range(10))


def test_nothing_is_stored_where_nothing_was_written() -> None:
    assert looking(opened(), dedupe()).get(b"k", Wanted()) is None
    assert list(looking(opened(), dedupe()).walk(b"", None, Wanted())) == []


@given(
    keys=st.lists(st.lists(BYTES, unique=True, max_size=8).map(sorted), min_size=1, max_size=4),
    limit=st.integers(1, 4),
)
def test_merged_pages_tear_no_key_apart_and_lose_none(keys: list[list[bytes]], limit: int) -> None:
    def page(partition: int, start: bytes) -> Page:
        left = [key for key in keys[partition] if key >= start]
        items = [{**key_fields(key, "base64"), "partition": partition} for key in left[:limit]]
        return Page(items, left[limit] if len(left) > limit else None, [partition])

    found: list[tuple[str, int]] = []
    following: bytes | None = b""
    while following is not None:
        one = merged([page(number, following) for number in range(len(keys))], limit)
        found += [(item["key"], item["partition"]) for item in one.items]
        following = one.following

    pairs = sorted((key, number) for number, of_one in enumerate(keys) for key in of_one)
    assert found == [(encoded(key), number) for key, number in pairs]


@given(st.binary(max_size=20))
def test_a_key_is_read_back_as_it_was_written(key: bytes) -> None:
    assert read_key(encoded(key).encode(), "base64") == key


def test_values_that_json_does_not_have_are_told_all_the_same() -> None:
    value = {"b": b"\xff", "nan": float("nan"), 1: [float("inf"), 2**70], None: True}

    assert plain(value) == {"b": {"base64": "/w=="}, "nan": None, "1": [None, 2**70], "null": True}
    assert plain(2**20_000) == hex(2**20_000)
