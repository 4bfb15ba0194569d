"""Workers that freeze, come and go, or take over: state moves with its tasks, and nothing is lost, doubled or late."""

import random
import re
import signal
import time

import pytest

from headrace.connectors.local_kafka import LocalKafka
from tests.crash.conftest import StatefulFactory
from tests.crash.outages import live_through_two_outages
from tests.crash.side_by_side import side_by_side
from tests.crash.stateful import VICTIM
from tests.crash.stores import changelogs
from tests.crash.workers import ready
from tests.forgotten_markers import unless_kafka_forgets

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PROTOCOLS = ["classic", "consumer"]
STORM_S = 15.0
BACKLOG = 60_000
SLOW_MS = 2_000


def test_a_worker_that_was_frozen_does_not_take_the_state_of_others_for_its_own(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    def run(protocol: str) -> None:
        crash = stateful_of(kafka_brokers, group_protocol=protocol)
        crash.feed(per_second=300)
        frozen = crash.start()
        ready(frozen)
        crash.wait_progress(partitions="all")
        other = crash.start()
        ready(other)

        frozen.send_signal(signal.SIGSTOP)
        # The other worker has everything, once every partition has moved on without the frozen one.
        crash.wait_progress(partitions="all")
        frozen.send_signal(signal.SIGCONT)
        frozen.send_signal(signal.SIGTERM)
        frozen.end(60)
        other.murder()
        crash.check_restorable()
        back = crash.start()
        ready(back)
        crash.end_feed()

        crash.wait_done()
        crash.stop(back)
        crash.check_restorable()

    side_by_side(run, PROTOCOLS)


def test_a_storm_of_rebalances_under_load_loses_and_doubles_nothing(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    def run(protocol: str) -> None:
        crash = stateful_of(kafka_brokers, group_protocol=protocol)
        crash.feed(per_second=500)
        chance = random.Random(5)
        workers = [crash.start()]
        ready(workers[0])

        end_s = time.monotonic() + STORM_S
        while time.monotonic() < end_s:
            workers.append(crash.start())
            time.sleep(1)  # whoever comes does so in the midst of what the last one has set off
            if len(workers) > 2:
                leaving = workers.pop(chance.randrange(len(workers)))
                if chance.random() < 0.5:
                    leaving.murder()
                else:
                    leaving.send_signal(signal.SIGTERM)
        crash.end_feed()

        crash.wait_done()
        crash.stop(*workers)
        crash.check_restorable()

    side_by_side(run, PROTOCOLS)


def test_tasks_that_move_in_the_midst_of_a_backlog_drop_nothing_as_late(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    def run(protocol: str) -> None:
        # On a busy machine the backlog may come so late that its partitions would be idle, and hold nobody up.
        crash = stateful_of(kafka_brokers, group_protocol=protocol, idle_after="10m")
        first, second = crash.start("slow", SLOW_MS), crash.start("slow", SLOW_MS)
        ready(first)
        ready(second)
        crash.send_backlog(BACKLOG)
        crash.wait_progress()
        assert sum(crash.committed().values()) < BACKLOG, "tasks would move when all is done"
        first.murder()
        third = crash.start()
        ready(third)
        second.murder()

        crash.wait_done()
        crash.stop(third)
        crash.check_restorable()

    side_by_side(run, PROTOCOLS)


def test_a_standby_takes_over_almost_without_restoring(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    crash = stateful_of(kafka_brokers, standby=1)
    crash.feed(per_second=500)
    killed, other = crash.start(), crash.start()
    ready(killed)
    ready(other)
    time.sleep(20)  # until the other follows, and much was written meanwhile

    killed.murder()
    before = len(other.logged)
    crash.end_feed()
    crash.wait_done()
    crash.stop(other)

    restored = [
        int(found.replace(",", ""))
        for found in re.findall(r": ([0-9,]+) records in", other.logged[before:])
    ]
    written = sum(log.end for log in changelogs(kafka_brokers, crash.group).values())
    assert sum(restored) < written / 50, (restored, written)
    crash.check_restorable()


def test_a_broker_that_is_killed_leaves_results_and_state_as_if_it_never_was(
    own_kafka: LocalKafka, stateful_of: StatefulFactory
) -> None:
    def attempt(_: int) -> None:
        # Partitions whose records a dead broker holds are not idle.
        crash = stateful_of(
            own_kafka.brokers, instance_id=VICTIM, idle_after="10m", commit_interval="500ms"
        )
        try:
            live_through_two_outages(own_kafka, crash, per_second=500)
            crash.check_equal()
        finally:
            crash.clean_up()

    unless_kafka_forgets(own_kafka, attempt)
