"""Fixtures for tests that need Apache Kafka: one broker serves the whole session. And the settings of all properties.

What properties try is the same in every run, so that what fails is somebody's change; HEADRACE_EXPLORE=1 looks for more.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import pytest
from hypothesis import settings

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.errors import HeadraceError

# How long an example takes says more about what else the machine does.
settings.register_profile(
    "headrace", deadline=None, derandomize="HEADRACE_EXPLORE" not in os.environ
)
settings.load_profile("headrace")

# Groups notice within seconds that a member was killed.
SHORT_SESSIONS = {
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
# Its controller forgets a killed broker sooner, so that it comes back sooner.
QUICK_RESTART = {"broker.heartbeat.interval.ms": "250", "broker.session.timeout.ms": "3000"}

TopicFactory = Callable[..., str]


@pytest.fixture(scope="session")
def kafka_brokers() -> Iterator[str]:
    """Bootstrap servers of a broker for the whole session: the one that HEADRACE_TEST_BROKERS names, or our own."""
    if named := os.environ.get("HEADRACE_TEST_BROKERS"):
        yield named
        return
    with _started(SHORT_SESSIONS) as kafka:
        yield kafka.brokers


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """A broker of the test's own, to kill and restart."""
    with _started({**SHORT_SESSIONS, **QUICK_RESTART}) as kafka:
        yield kafka


@pytest.fixture
def topic(kafka_brokers: str) -> TopicFactory:
    """Makes topics of the session's broker: `topic("orders", partitions=4)` is the name of a new one."""

    def create(
        name: str = "topic",
        *,
        partitions: int = 1,
        config: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        unique = f"{name}-{uuid.uuid4().hex[:12]}"
        admin = KafkaBroker(kafka_brokers).admin()
        try:
            admin.create([NewTopic(name=unique, partitions=partitions, config=config)])
        finally:
            admin.close()
        return unique

    return create


def _started(properties: Mapping[str, str]) -> LocalKafka:
    """A broker that is entered by the caller; a machine without Kafka fails the test, it does not skip it."""
    kafka = LocalKafka(LocalKafkaSettings(properties=properties, start_timeout_s=180))
    try:
        kafka.start()
    except HeadraceError as error:
        pytest.fail(str(error), pytrace=False)
    return kafka
