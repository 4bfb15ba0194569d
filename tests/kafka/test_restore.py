"""Restoring from changelogs of a real Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.rocksdb_store import RocksdbStoreKind
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings, TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.state.layout import checkpoint_of, region_of
from headrace.runtime.state.replica import Replica
from headrace.runtime.state.restore import Restorer
from tests.conftest import TopicFactory
from tests.unit.state.restoring import COMPACTED, contents, eventually, numbered

pytestmark = pytest.mark.kafka

REGION = region_of(1, 0)


class Setting:
    """A changelog of one partition, and a restorer into RocksDB."""

    def __init__(self, brokers: str, topic: str, store: Store) -> None:
        self.broker = KafkaBroker(brokers)
        self.admin = self.broker.admin()
        self.store = store
        self.changelog = TopicPartition(topic, 0)
        self.replica = Replica(self.changelog, REGION, "orders/totals", "event")
        self.producer = self.broker.producer(
            ProducerSettings(client_id="writer", transactional_id=f"{topic}-writer")
        )
        self.producer.init_transactions(30)
        self.restorer = Restorer(
            store,
            new_reader=lambda: self.broker.reader("restorer", {}),
            admin=self.admin,
            clock=SystemClock(),
        )

    def begin(self, first: int, last: int) -> None:
        self.producer.begin_transaction()
        for key, value in numbered(first, last):
            self.producer.produce(self.changelog.topic, value, key, 0)
        self.producer.flush(30)

    def commit(self, first: int, last: int) -> None:
        self.begin(first, last)
        self.producer.commit_transaction(30)

    def abort(self, first: int, last: int) -> None:
        self.begin(first, last)
        self.producer.abort_transaction(30)

    @property
    def checkpoint(self) -> int | None:
        return checkpoint_of(self.store, REGION)

    def await_done(self) -> None:
        eventually(lambda: self.restorer.done() == [self.changelog])

    def close(self) -> None:
        self.restorer.close()
        self.producer.close()
        self.admin.close()
        self.store.close()


@pytest.fixture
def setting(kafka_brokers: str, topic: TopicFactory, tmp_path: Path) -> Iterator[Setting]:
    store = RocksdbStoreKind().open(tmp_path / "state", cache_bytes=8 << 20)
    setting = Setting(kafka_brokers, topic("changelog", config=COMPACTED), store)
    yield setting
    setting.close()


def test_aborted_transactions_never_appear_and_the_end_is_reached(setting: Setting) -> None:
    setting.commit(0, 5_000)
    setting.abort(6_000, 6_100)

    setting.restorer.restore([setting.replica])

    setting.await_done()
    assert contents(setting.store, REGION) == dict(numbered(0, 5_000))
    assert setting.checkpoint == 5_000 + 1 + 100 + 1


def test_a_standby_waits_for_an_open_transaction_when_it_becomes_active(setting: Setting) -> None:
    setting.commit(0, 10)
    setting.restorer.follow([setting.replica])
    eventually(lambda: setting.checkpoint == 11)
    setting.begin(10, 20)
    setting.restorer.restore([setting.replica])
    eventually(lambda: [one.lag for one in setting.restorer.progress()] == [10])
    assert setting.restorer.done() == []

    setting.producer.commit_transaction(30)

    setting.await_done()
    assert contents(setting.store, REGION) == dict(numbered(0, 20))


def test_a_changelog_that_was_created_anew_is_restored_from_its_beginning(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.commit(0, 100)
    setting.restorer.restore([setting.replica])
    setting.await_done()
    setting.admin.delete([setting.changelog.topic])
    eventually(lambda: setting.changelog.topic not in setting.admin.topics())
    setting.admin.create([NewTopic(name=setting.changelog.topic, partitions=1, config=COMPACTED)])
    writer = setting.broker.producer(ProducerSettings(client_id="writer"))
    for key, value in numbered(200, 210):
        writer.produce(setting.changelog.topic, value, key, 0)
    writer.flush(30)
    writer.close()

    setting.restorer.restore([setting.replica])

    setting.await_done()
    assert contents(setting.store, REGION) == dict(numbered(200, 210))
    assert "was it created anew?" in caplog.text
