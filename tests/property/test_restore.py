"""A store after a restore is what a replay of the log says, however it is cut into batches and interrupted."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.errors import StoreCorruptError
from headrace.runtime.state.codec import encode, expiry_of
from headrace.runtime.state.layout import (
    EXPIRY_INDEX,
    MOMENT,
    TIMER_INDEX,
    accumulator_key,
    entry_key,
    expiry_index_key,
    timer_index_key,
    timer_key,
)
from tests.unit.state.restoring import (
    Change,
    CutReader,
    FailingStore,
    World,
    await_done,
    eventually,
    replica,
)

names = st.sampled_from([b"", b"a", b"b", b"\xff"])
moments = st.integers(0, 2**60)
values = st.one_of(
    st.none(),
    st.integers(0, 9).map(encode),
    st.tuples(st.integers(0, 9), moments).map(lambda one: encode(*one)),
)
changes: st.SearchStrategy[Change] = st.one_of(
    st.tuples(st.builds(entry_key, names, st.sampled_from(["", "x"])), values),
    st.tuples(st.builds(accumulator_key, st.integers(0, 2), names), values),
    st.tuples(
        st.builds(timer_key, st.sampled_from([b"e", b"w"]), names, st.just("")),
        st.one_of(st.none(), moments.map(MOMENT.pack)),
    ),
    st.tuples(st.just(b"mtime"), st.integers(0, 9).map(lambda one: encode({"watermark": one}))),
)
transactions = st.tuples(
    st.integers(0, 1), st.booleans(), st.lists(changes, min_size=1, max_size=12)
)
logs = st.lists(transactions, max_size=8)


def replayed(log: Any, partition: int) -> dict[bytes, bytes]:
    state: dict[bytes, bytes] = {}
    for number, is_committed, batch in log:
        for key, value in batch if is_committed and number == partition else ():
            state.pop(key, None)
            if value is not None:
                state[key] = value
    return state


def indexes(state: dict[bytes, bytes]) -> set[bytes]:
    found = set()
    for key, value in state.items():
        if key[:1] == b"n":
            found.add(timer_index_key(key, MOMENT.unpack(value)[0]))
        elif key[:1] in (b"k", b"w") and (expires_ms := expiry_of(value)) is not None:
            found.add(expiry_index_key(key, expires_ms))
    return found


def check(world: World, log: Any) -> None:
    for partition in (0, 1):
        wanted = replayed(log, partition)
        found = world.contents(partition)
        derived = {one for one in found if one[:1] in (TIMER_INDEX, EXPIRY_INDEX)}
        assert {key: one for key, one in found.items() if key not in derived} == wanted
        assert derived >= indexes(wanted)  # stale ones are harmless


@settings(max_examples=60, deadline=None)
@given(
    log=logs,
    more=logs,
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    kills=st.lists(st.integers(0, 4), max_size=3),
    is_followed=st.booleans(),
)
def test_a_restored_store_is_a_replay_of_its_log(
    log: Any, more: Any, sizes: list[int], kills: list[int], is_followed: bool
) -> None:
    world = World()
    world.store = store = FailingStore()
    both = [replica(0), replica(1)]
    write(world, log)
    for writes in kills:
        store.writes_left = writes
        restorer = world.restorer(new_reader=lambda: CutReader(world.reader(), sizes))
        restorer.restore(both)
        with suppress(StoreCorruptError):
            await_done(restorer, 0, 1)
        restorer.close()
    store.writes_left = None
    restorer = world.restorer(new_reader=lambda: CutReader(world.reader(), sizes))
    if is_followed:
        restorer.follow(both)
        ends = world.admin.ends([one.changelog for one in both])
        eventually(
            lambda: all((world.checkpoint(one.partition) or 0) == end for one, end in ends.items())
        )
    write(world, more)

    restorer.restore(both)

    await_done(restorer, 0, 1)
    world.close()
    check(world, log + more)


def write(world: World, log: Any) -> None:
    for partition, is_committed, batch in log:
        world.write(batch, partition, outcome="commit" if is_committed else "abort")
