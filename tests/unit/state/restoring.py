"""A changelog in a memory broker, and restorers that read it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.action import TimerKind
from headrace.runtime.contracts.broker import (
    Message,
    NewTopic,
    ProducerSettings,
    Reader,
    TopicPartition,
)
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import StoreCorruptError
from headrace.runtime.state.codec import encode
from headrace.runtime.state.layout import checkpoint_of, end_of, entry_key, region_of
from headrace.runtime.state.memory_store import MemoryStore
from headrace.runtime.state.replica import Replica
from headrace.runtime.state.restore import Restorer

TOPIC = "app.orders.totals.changelog"
WAIT_S = 20.0
COMPACTED = {"cleanup.policy": "compact"}

Change = tuple[bytes, bytes | None]


def eventually(is_true: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    deadline_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.001)


def replica(partition: int = 0, *, topic: str = TOPIC, ttl_kind: TimerKind = "event") -> Replica:
    number = 1 if topic == TOPIC else 2
    region = region_of(number, partition)
    return Replica(TopicPartition(topic, partition), region, "orders/totals", ttl_kind)


def value_of(number: int) -> bytes:
    return encode([number])


def numbered(first: int, last: int) -> list[Change]:
    """Entries, one per number."""
    return [(entry_key(b"%d" % one, ""), value_of(one)) for one in range(first, last)]


def contents(store: Store, region: bytes) -> dict[bytes, bytes]:
    """A region's entries, without the region."""
    return {key[len(region) :]: value for key, value in store.range(region, end_of(region))}


class World:
    """One memory broker with one changelog topic, and a store."""

    def __init__(self, partitions: int = 2) -> None:
        self.clock = ManualClock(1_000_000_000)
        self.broker = MemoryBroker(clock=self.clock)
        self.admin = self.broker.admin()
        self.store: Store = MemoryStore()
        self._restorers: list[Restorer] = []
        self._ids = count()
        self.create(TOPIC, partitions)

    def create(self, topic: str, partitions: int = 2) -> None:
        self.admin.create([NewTopic(name=topic, partitions=partitions, config=COMPACTED)])

    def write(
        self,
        changes: Iterable[Change],
        partition: int = 0,
        *,
        topic: str = TOPIC,
        outcome: str = "commit",
    ) -> Callable[[], None]:
        """Write changes in a transaction that is committed, aborted, or open until the returned function is called."""
        producer = self.broker.producer(
            ProducerSettings(
                client_id="writer",
                transactional_id=f"writer-{next(self._ids)}",
                transaction_timeout_ms=3_600_000,
            )
        )
        producer.init_transactions(1)
        producer.begin_transaction()
        for key, value in changes:
            producer.produce(topic, value, key, partition)
        if outcome == "commit":
            producer.commit_transaction(1)
        elif outcome == "abort":
            producer.abort_transaction(1)
        return lambda: producer.commit_transaction(1)

    def reader(self) -> Reader:
        return self.broker.reader("restorer", {})

    def restorer(
        self,
        *,
        store: Store | None = None,
        new_reader: Callable[[], Reader] | None = None,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> Restorer:
        restorer = Restorer(
            store or self.store,
            new_reader=new_reader or self.reader,
            admin=self.admin,
            clock=self.clock,
            is_paused=is_paused,
        )
        self._restorers.append(restorer)
        return restorer

    def restore(self, *partitions: int) -> None:
        """Restore partitions as a new process does, until they are done."""
        restorer = self.restorer()
        restorer.restore([replica(one) for one in partitions])
        await_done(restorer, *partitions)
        restorer.close()

    def checkpoint(self, partition: int = 0) -> int | None:
        return checkpoint_of(self.store, region_of(1, partition))

    def contents(self, partition: int = 0) -> dict[bytes, bytes]:
        return contents(self.store, region_of(1, partition))

    def close(self) -> None:
        for one in self._restorers:
            one.close()


def await_done(restorer: Restorer, *partitions: int) -> None:
    """Wait until exactly these partitions were handed over."""
    wanted = {TopicPartition(TOPIC, one) for one in partitions}
    found: set[TopicPartition] = set()

    def is_done() -> bool:
        found.update(restorer.done())
        return found >= wanted

    eventually(is_done)
    assert found == wanted


class CutReader:
    """Returns as many records at once as `sizes` says, over and over; notes how many were read, and what was assigned."""

    def __init__(self, reader: Reader, sizes: Sequence[int]) -> None:
        self._reader = reader
        self._sizes = sizes
        self._turn = 0
        self.records = 0
        self.assigned: list[Mapping[TopicPartition, int]] = []

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self.assigned.append(dict(positions))
        self._reader.assign(positions)

    def read(self, count: int, timeout_s: float) -> list[Message]:
        size = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        messages = self._reader.read(min(size, count), timeout_s)
        self.records += len(messages)
        return messages

    def positions(self) -> dict[TopicPartition, int]:
        return self._reader.positions()

    def close(self) -> None:
        self._reader.close()


class FailingStore(MemoryStore):
    """Fails after some writes, as a process does that is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: int | None = None

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        deletes: Iterable[bytes] = (),
        cleared: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        if self.writes_left == 0:
            raise StoreCorruptError("the store was made to fail")
        if self.writes_left is not None:
            self.writes_left -= 1
        super().write(puts, deletes, cleared)
