"""Stores against a dict, whatever is written, cleared, read in parts and reopened, in whatever order."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from headrace.runtime.contracts.store import Store
from headrace.runtime.stores import store_kind

CACHE_BYTES = 4 << 20
# Few letters and short keys, so that they meet; the last bytes of all, so that ends are tried.
KEYS = st.binary(max_size=2) | st.lists(st.sampled_from([0, 1, 97, 255]), max_size=3).map(bytes)
VALUES = st.binary(max_size=4)
PUTS = st.lists(st.tuples(KEYS, VALUES), max_size=12)
RANGES = st.tuples(KEYS, KEYS)

Entries = list[tuple[bytes, bytes]]


def between(model: dict[bytes, bytes], start: bytes, end: bytes) -> Entries:
    """What a range of this model holds."""
    return sorted(
        (key, value) for key, value in model.items() if start <= key and (not end or key < end)
    )


class StoreMachine(RuleBasedStateMachine):
    name: ClassVar[str]
    begun = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.kind = store_kind(self.name)
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-store-"))
        self.store: Store = self.kind.open(self.folder, cache_bytes=CACHE_BYTES)
        self.model: dict[bytes, bytes] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(puts=PUTS, deletes=st.lists(KEYS, max_size=6), cleared=st.lists(RANGES, max_size=2))
    def write(self, puts: Entries, deletes: list[bytes], cleared: Entries) -> None:
        self.store.write(puts, deletes, cleared)
        for start, end in cleared:
            for key, _ in between(self.model, start, end):
                del self.model[key]
        for key in deletes:
            self.model.pop(key, None)
        self.model.update(puts)

    @rule(first=st.integers(0, 5_000), count=st.integers(1, 3_000), step=st.integers(1, 3))
    def write_many(self, first: int, count: int, step: int) -> None:
        puts = [(b"n%05d" % (first + one * step), b"%d" % one) for one in range(count)]
        self.store.write(puts)
        self.model.update(puts)

    @rule(first=st.integers(0, 5_000), count=st.integers(1, 3_000), step=st.integers(1, 3))
    def delete_many(self, first: int, count: int, step: int) -> None:
        keys = [b"n%05d" % (first + one * step) for one in range(count)]
        self.store.write((), keys)
        for key in keys:
            self.model.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=8))
    def get(self, keys: list[bytes]) -> None:
        expected = [self.model.get(key) for key in keys]

        assert self.store.get_many(keys) == expected
        assert [self.store.get(key) for key in keys] == expected

    @rule(bounds=RANGES)
    def read_range(self, bounds: tuple[bytes, bytes]) -> None:
        assert list(self.store.range(*bounds)) == between(self.model, *bounds)

    @rule(bounds=RANGES, count=st.integers(0, 700), target=begun)
    def begin_range(
        self, bounds: tuple[bytes, bytes], count: int
    ) -> tuple[Iterator[tuple[bytes, bytes]], Entries]:
        """Read a range in part; what is left of it must stay what it is now."""
        expected = between(self.model, *bounds)
        entries = self.store.range(*bounds)

        assert list(islice(entries, count + 1)) == expected[: count + 1]
        return entries, expected[count + 1 :]

    @rule(one=consumes(begun))
    def end_range(self, one: tuple[Iterator[tuple[bytes, bytes]], Entries]) -> None:
        entries, expected = one

        assert list(entries) == expected

    @rule(one=consumes(begun))
    def leave_range(self, one: tuple[Iterator[tuple[bytes, bytes]], Entries]) -> None:
        del one

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert list(self.store.range(b"", b"")) == between(self.model, b"", b"")


class MemoryStoreMachine(StoreMachine):
    name = "memory"


class RocksdbStoreMachine(StoreMachine):
    name = "rocksdb"

    @precondition(lambda self: self.is_quiet)
    @rule(is_wiped=st.booleans())
    def reopen(self, is_wiped: bool) -> None:
        self.store.close()
        if is_wiped:
            self.kind.wipe(self.folder)
            self.model.clear()
        self.store = self.kind.open(self.folder, cache_bytes=CACHE_BYTES)

    @property
    def is_quiet(self) -> bool:
        """Whether no range is under way, which closing would end."""
        return not self.bundle("begun")


TestMemoryStore = MemoryStoreMachine.TestCase
TestMemoryStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRocksdbStore = RocksdbStoreMachine.TestCase
TestRocksdbStore.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
