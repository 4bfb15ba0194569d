"""Compares what is in the stores of dead workers with the changelogs."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.rocksdb_store import RocksdbStoreKind
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.state.codec import expiry_of
from headrace.runtime.state.layout import (
    ACCUMULATOR,
    ENTRY,
    META,
    MOMENT,
    NUMBER,
    TIMER,
    checkpoint_of,
    end_of,
    expiry_index_key,
    region_of,
    timer_index_key,
)

CHANGELOG_KINDS = (ENTRY, ACCUMULATOR, TIMER, META)
Entries = dict[bytes, bytes]


class Region(NamedTuple):
    """What a store has of one changelog partition: its entries, those derived from them, and how far it has come."""

    entries: Entries
    derived: set[bytes]
    checkpoint: int | None


class Changelog(NamedTuple):
    """The records of one changelog partition that were committed."""

    records: list[tuple[int, bytes, bytes | None]]
    end: int

    def replayed(self, first: int = 0, onto: Entries | None = None) -> Entries:
        """What the records from an offset on make of these entries."""
        entries = dict(onto or {})
        for offset, key, value in self.records:
            if offset < first:
                continue
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        return entries


def settle(brokers: str, group: str, *names: str) -> None:
    """End the transactions that dead workers have left open, as their successors would."""
    for name in names:
        producer = Producer({"bootstrap.servers": brokers, "transactional.id": f"{group}.{name}"})
        producer.init_transactions(30)


def changelogs(brokers: str, prefix: str) -> dict[TopicPartition, Changelog]:
    """All changelogs of flows whose topics begin with `prefix`. No transaction must be open."""
    broker = KafkaBroker(brokers)
    admin, reader = broker.admin(), broker.reader("crash", {})
    try:
        partitions = [
            TopicPartition(topic, partition)
            for topic, count in admin.topics().items()
            if topic.startswith(prefix) and topic.endswith(".changelog")
            for partition in range(count)
        ]
        ends = admin.ends(partitions)
        starts = admin.offsets(partitions, "earliest")
        reader.assign(starts)
        found = {partition: Changelog([], ends[partition]) for partition in partitions}
        deadline = time.monotonic() + 60
        while any(reader.positions().get(p, 0) < end for p, end in ends.items()):
            assert time.monotonic() < deadline, "a changelog could not be read to its end"
            for one in reader.read(10_000, 0.2):
                place = TopicPartition(one.topic(), one.partition())
                found[place].records.append((one.offset(), one.key() or b"", one.value()))
        return found
    finally:
        reader.close()
        admin.close()


def regions(folder: Path) -> dict[TopicPartition, Region]:
    """What the store in this folder has, by changelog partition; the folder is left as it is."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        store = RocksdbStoreKind().open(Path(copy), cache_bytes=8 << 20)
        try:
            return dict(_regions(store))
        finally:
            store.close()


def _regions(store: Store) -> Iterator[tuple[TopicPartition, Region]]:
    for key, number in list(store.range(NUMBER, end_of(NUMBER))):
        topic = key[len(NUMBER) :].decode()
        for partition in range(16):
            region = region_of(int.from_bytes(number, "big"), partition)
            entries: Entries = {}
            derived: set[bytes] = set()
            for found, value in store.range(region, end_of(region)):
                entry = found[len(region) :]
                if entry[:1] in CHANGELOG_KINDS:
                    entries[entry] = value
                else:
                    derived.add(entry)
            checkpoint = checkpoint_of(store, region)
            if entries or derived or checkpoint is not None:
                yield TopicPartition(topic, partition), Region(entries, derived, checkpoint)


def check_equal(store: dict[TopicPartition, Region], logs: dict[TopicPartition, Changelog]) -> None:
    """The store of the only worker, which has stopped by itself, has what the changelogs have, and knows it."""
    for place, log in logs.items():
        region = store.get(place, Region({}, set(), None))
        differs = _difference(region.entries, log.replayed())
        assert not differs, f"{place}: {differs}"
        _check_derived(place, region)
        if log.records:
            last = log.records[-1][0]
            assert region.checkpoint is not None, f"{place} has no checkpoint"
            assert last < region.checkpoint <= log.end, f"{place}: {region.checkpoint}, {last}"


def check_restorable(
    store: dict[TopicPartition, Region], logs: dict[TopicPartition, Changelog]
) -> None:
    """Whatever state a worker was killed in: what its store has, and the changelogs from its checkpoints on, are all."""
    for place, region in store.items():
        log = logs[place]
        first = region.checkpoint or 0
        assert first <= log.end, f"{place}: the checkpoint {first} lies behind the end {log.end}"
        differs = _difference(log.replayed(first, region.entries), log.replayed())
        assert not differs, f"{place} from {first} of {log.end}: {differs}"
        _check_derived(place, region)


def _difference(found: Entries, expected: Entries) -> str:
    missing = expected.keys() - found.keys()
    foreign = found.keys() - expected.keys()
    other = [key for key in expected.keys() & found.keys() if found[key] != expected[key]]
    if not missing and not foreign and not other:
        return ""
    sample = sorted([*missing, *foreign, *other])[:3]
    shown = [(key, found.get(key), expected.get(key)) for key in sample]
    return f"{len(missing)} missing, {len(foreign)} too many, {len(other)} differ: {shown}"


def _check_derived(place: TopicPartition, region: Region) -> None:
    """Every timer, and all that expires, can be found by its time."""
    for key, value in region.entries.items():
        if key[:1] == TIMER:
            index = timer_index_key(key, MOMENT.unpack(value)[0])
        elif key[:1] in (ENTRY, ACCUMULATOR) and (expires_ms := expiry_of(value)) is not None:
            index = expiry_index_key(key, expires_ms)
        else:
            continue
        assert index in region.derived, f"{place}: {key!r} is not in the index of times"
