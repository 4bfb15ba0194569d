"""When a run with --until-idle ends."""

from dataclasses import replace

from headrace.runtime.cli.idleness import Idleness
from headrace.runtime.worker.member import PAUSE_S_MAX
from headrace.runtime.worker.worker import Statistics

NOTHING = Statistics(
    records_read=0,
    commits=1,
    aborts=0,
    rejoins=0,
    last_record_s=0.0,
    last_commit_s=0.0,
    assignment=frozenset(),
    written={},
    failed={},
    restores=(),
    waiting=0,
)


def test_it_ends_after_a_while_without_records() -> None:
    idleness = Idleness(3.0, now_s=10.0)

    assert idleness.left_s(NOTHING, 11.0) == 2.0
    assert idleness.left_s(replace(NOTHING, last_record_s=12.0), 13.0) == 2.0
    assert idleness.left_s(replace(NOTHING, last_record_s=12.0), 15.0) == 0.0


def test_tasks_that_wait_for_their_state_are_not_idle() -> None:
    idleness = Idleness(3.0, now_s=10.0)

    assert idleness.left_s(replace(NOTHING, waiting=1), 20.0) == 3.0
    assert idleness.left_s(NOTHING, 21.0) == 2.0


def test_records_whose_transaction_was_aborted_are_waited_for() -> None:
    idleness = Idleness(3.0, now_s=10.0)
    aborted = replace(NOTHING, last_record_s=10.0, aborts=1)

    assert idleness.left_s(aborted, 12.0) == PAUSE_S_MAX + 3.0
    assert idleness.left_s(aborted, 14.0) == PAUSE_S_MAX + 1.0
    assert idleness.left_s(replace(aborted, aborts=2), 17.0) == PAUSE_S_MAX + 3.0
    assert idleness.left_s(replace(aborted, aborts=2, commits=2), 18.0) <= 0.0
