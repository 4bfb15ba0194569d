"""Killing a worker between any two steps of the commit leaves every result exactly once."""

import random
import time

import pytest

from headrace.runtime.task.commit import Step
from tests.crash.conftest import CrashFactory
from tests.crash.side_by_side import side_by_side
from tests.crash.workers import ready

pytestmark = pytest.mark.kafka

SERIES = 3
TURNS = 5  # through seven places to die at: 105 kills
RANDOM_KILLS = 14


@pytest.mark.timeout(900)
def test_a_kill_at_any_step_of_the_commit_leaves_every_result_exactly_once(
    kafka_brokers: str, crash_of: CrashFactory
) -> None:
    def kill(number: int) -> None:
        crash = crash_of(kafka_brokers, instance_id="victim", group_protocol="classic")
        crash.feed(per_second=500)
        for turn in range(TURNS):
            for step in Step:
                worker = crash.start(step, commit=1 + (turn + number) % 3)
                crash.wait_killed(worker)
        crash.end_feed()
        last = crash.start()
        ready(last)
        crash.wait_done()
        crash.stop(last)

    side_by_side(kill, range(SERIES))


@pytest.mark.timeout(900)
def test_a_kill_at_any_moment_leaves_every_result_exactly_once(
    kafka_brokers: str, crash_of: CrashFactory
) -> None:
    crash = crash_of(kafka_brokers, instance_id="victim", group_protocol="classic")
    crash.feed(per_second=1_000)
    chance = random.Random(7)

    for _ in range(RANDOM_KILLS):
        worker = crash.start()
        ready(worker)
        time.sleep(chance.random() * 0.6)  # the moment is the point of the test, not a wait
        worker.murder()
    crash.end_feed()
    last = crash.start()
    crash.wait_done()
    crash.stop(last)


@pytest.mark.timeout(600)
def test_at_least_once_loses_nothing_when_it_is_killed(
    kafka_brokers: str, crash_of: CrashFactory
) -> None:
    crash = crash_of(
        kafka_brokers,
        instance_id="victim",
        group_protocol="classic",
        processing="at_least_once",
    )
    crash.feed(per_second=1_000)

    for step in Step:
        crash.wait_killed(crash.start(step, commit=2))
    crash.end_feed()
    last = crash.start()

    with pytest.raises(AssertionError, match="doubled"):
        crash.wait_done()
    crash.stop(last)
