"""Killing a worker between any two steps of the commit, or anywhere, leaves results and state as if nobody had died."""

import random
import time
from typing import NamedTuple

import pytest

from headrace.runtime.task.commit import Step
from tests.crash.conftest import StatefulFactory
from tests.crash.side_by_side import side_by_side
from tests.crash.stateful import VICTIM, Stateful
from tests.crash.workers import ready

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


class Series(NamedTuple):
    """How often a series goes through all steps, or kills at random."""

    number: int
    store: str
    turns: int
    per_second: int


# 37 rounds of seven steps, and 45 kills at random: 304 kills.
AT_STEPS = [
    Series(0, "rocksdb", 9, 600),
    Series(1, "rocksdb", 9, 600),
    Series(2, "rocksdb", 9, 600),
    Series(3, "memory", 5, 200),
    Series(4, "memory", 5, 200),
]
AT_RANDOM = [
    Series(0, "rocksdb", 15, 600),
    Series(1, "rocksdb", 15, 600),
    Series(2, "memory", 15, 200),
]


def test_a_kill_at_any_step_of_the_commit_leaves_state_and_results_as_they_must_be(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    def kill(series: Series) -> None:
        crash = stateful_of(kafka_brokers, instance_id=VICTIM, store=series.store)
        crash.feed(series.per_second)
        for turn in range(series.turns):
            for step in Step:
                worker = crash.start(step, commit=1 + (turn + series.number) % 3)
                crash.wait_killed(worker)
                if series.store == "rocksdb" and turn == series.number:
                    crash.check_restorable()
        end_well(crash, series.store)

    side_by_side(kill, AT_STEPS)


def test_a_kill_at_any_moment_leaves_state_and_results_as_they_must_be(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    def kill(series: Series) -> None:
        crash = stateful_of(kafka_brokers, instance_id=VICTIM, store=series.store)
        crash.feed(series.per_second)
        chance = random.Random(series.number)
        for turn in range(series.turns):
            worker = crash.start()
            ready(worker)
            time.sleep(chance.random() * 0.6)  # the moment is the point of the test, not a wait
            worker.murder()
            if series.store == "rocksdb" and turn % 4 == series.number:
                crash.check_restorable()
        end_well(crash, series.store)

    side_by_side(kill, AT_RANDOM)


def end_well(crash: Stateful, store: str) -> None:
    """Let a last worker do the rest, and see that everything is as it must be."""
    crash.end_feed()
    last = crash.start()
    ready(last)
    crash.wait_done()
    crash.stop(last)
    if store == "rocksdb":
        crash.check_equal()
