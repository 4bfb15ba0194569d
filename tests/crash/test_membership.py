"""Workers that freeze, come and go, and a broker that dies: every result exactly once."""

import random
import signal

import pytest

from headrace.connectors.local_kafka import LocalKafka
from headrace.runtime.task.commit import Step
from tests.crash.conftest import CrashFactory
from tests.crash.outages import live_through_two_outages
from tests.crash.workers import ready
from tests.forgotten_markers import unless_kafka_forgets

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PROTOCOLS = ["classic", "consumer"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_worker_that_was_frozen_past_its_session_is_fenced_and_nothing_doubles(
    kafka_brokers: str, crash_of: CrashFactory, protocol: str
) -> None:
    crash = crash_of(kafka_brokers, group_protocol=protocol)
    crash.feed(per_second=1_000)
    frozen = crash.start()
    ready(frozen)
    other = crash.start()
    ready(other)
    before = crash.committed()

    frozen.send_signal(signal.SIGSTOP)
    # The other worker has everything, once every partition has moved on without the frozen one.
    crash.wait_progress(before, partitions="all")
    frozen.send_signal(signal.SIGCONT)
    crash.wait_progress(crash.committed(), partitions="all")
    crash.end_feed()

    crash.wait_done()
    crash.stop(frozen, other)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_workers_that_join_and_leave_under_load_lose_and_double_nothing(
    kafka_brokers: str, crash_of: CrashFactory, protocol: str
) -> None:
    crash = crash_of(kafka_brokers, group_protocol=protocol)
    crash.feed(per_second=1_500)
    chance = random.Random(11)
    workers = [crash.start()]

    for _ in range(8):
        workers.append(crash.start())
        ready(workers[-1])
        if len(workers) > 3:
            leaving = workers.pop(chance.randrange(len(workers)))
            crash.stop(leaving)
    crash.end_feed()

    crash.wait_done()
    crash.stop(*workers)


def test_a_killed_worker_that_nobody_replaces_is_taken_over_by_another(
    kafka_brokers: str, crash_of: CrashFactory
) -> None:
    crash = crash_of(kafka_brokers)
    crash.feed(per_second=1_000)
    killed, other = crash.start(), crash.start()
    ready(killed)
    ready(other)

    killed.murder()
    crash.end_feed()

    crash.wait_done()
    crash.stop(other)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_worker_that_dies_with_positions_in_its_transaction_is_taken_over_when_that_has_timed_out(
    kafka_brokers: str, crash_of: CrashFactory, protocol: str
) -> None:
    crash = crash_of(kafka_brokers, group_protocol=protocol)
    crash.feed(per_second=1_000)
    killed = crash.start(Step.COMMIT_TRANSACTION, commit=5)
    other = crash.start()

    crash.wait_killed(killed)
    ready(other)
    crash.end_feed()

    crash.wait_done()
    crash.stop(other)


def test_a_broker_that_is_killed_and_started_again_costs_nothing(
    own_kafka: LocalKafka, crash_of: CrashFactory
) -> None:
    def attempt(_: int) -> None:
        crash = crash_of(own_kafka.brokers, commit_interval="500ms")
        try:
            live_through_two_outages(own_kafka, crash, per_second=1_000)
        finally:
            crash.clean_up()

    unless_kafka_forgets(own_kafka, attempt)
