"""Killing a worker between any two steps of the commit leaves every result exactly once."""

import random
import time

import pytest

from headrace.runtime.task.commit import Step
from tests.crash.conftest import CrashFactory
from tests.crash.harness import ready

pytestmark = pytest.mark.kafka

KILLS_PER_STEP = 13  # seven places to die at: 91 kills
RANDOM_KILLS = 14


@pytest.mark.timeout(900)
def test_a_kill_at_any_step_of_the_commit_leaves_every_result_exactly_once(
    kafka_brokers: str, crash_of: CrashFactory
) -> None:
    crash = crash_of(kafka_brokers, instance_id="victim", group_protocol="classic")
    crash.feed(per_second=1_000)
    kills = 0

    for turn in range(KILLS_PER_STEP):
        for step in Step:
            worker = crash.start(step, commit=1 + turn % 3)
            crash.wait_killed(worker)
            kills += 1
    crash.end_feed()
    last = crash.start()
    crash.wait_done()
    crash.stop(last)

    assert kills == KILLS_PER_STEP * len(Step)


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
        worker.kill()
        worker.communicate()
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
