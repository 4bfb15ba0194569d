"""The tasks of a member: which there are, when they begin, and what becomes of their records when partitions come and go."""

import pytest

from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from tests.unit.running import NOW_MS, Running, running

BOTH = """
name: flow
stages:
  - {name: a, action: kafka, config: {topics: a}, out: it}
  - {name: b, action: kafka, config: {topics: b}, out: it}
  - {name: it, action: reduce, config: {aggregate: {n: count()}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
PATTERN = BOTH.replace("{topics: a}", "{pattern: 'in.*'}").replace(
    "  - {name: b, action: kafka, config: {topics: b}, out: it}\n", ""
)
A, B = TopicPartition("a", 0), TopicPartition("b", 0)


def counts(run: Running) -> list[int]:
    return [one["n"] for one in run.data("out")]


def move(run: Running, partition: TopicPartition, *, is_back: bool) -> None:
    """Take one partition away from the member, or give it back."""
    consumer = run.member._session.consumer
    if is_back:
        offset = run.member.assigned([partition])[partition]
        consumer._next[partition] = offset  # type: ignore[attr-defined] # of the broker in memory
    else:
        run.member.revoked([partition])
        consumer._drop([partition])  # type: ignore[attr-defined] # likewise


@pytest.mark.parametrize("is_held", [False, True])
def test_what_a_task_reads_is_not_lost_while_one_of_its_inputs_is_away(is_held: bool) -> None:
    run = running(BOTH, topics=["a", "b"])
    run.run({}, topic="a", key="k")
    run.run({}, topic="b", key="k")
    if is_held:
        tasks = run.member._session.tasks
        assert tasks is not None
        run.feed({}, "a", key="k", timestamp=NOW_MS + 1)
        (message,) = run.member._session.consumer.consume(1, 0)
        tasks._alignments[A].add(A, [message])

    move(run, B, is_back=False)
    run.feed({}, "a", key="k", timestamp=NOW_MS + 2)
    run.drain()
    meanwhile = counts(run)
    move(run, B, is_back=True)
    run.run({}, topic="b", key="k", timestamp=NOW_MS + 3)

    assert meanwhile[-1] == 2
    assert counts(run)[-1] == 4 + is_held


def test_what_was_read_ahead_does_not_hide_what_was_held_back() -> None:
    run = running(BOTH, topics=["a", "b"])
    run.run({}, topic="a", key="k")
    run.run({}, topic="b", key="k")
    tasks, consumer = run.member._session.tasks, run.member._session.consumer
    assert tasks is not None
    for number in (1, 2):
        run.feed({}, "a", key="k", timestamp=NOW_MS + number)
    held, ahead = consumer.consume(2, 0)
    tasks._alignments[A].add(A, [held])

    move(run, B, is_back=False)
    kept, back = tasks.hold_back([ahead])

    assert (kept, back) == ([], {A: held.offset()})


def test_a_task_whose_inputs_come_one_by_one_begins_with_the_last() -> None:
    run = running(BOTH, topics=["a", "b"])
    run.run({}, topic="a", key="k")
    move(run, A, is_back=False)
    move(run, B, is_back=False)
    run.feed({}, "a", key="k")

    move(run, A, is_back=True)
    run.drain()
    tasks = run.member._session.tasks
    assert tasks is not None
    is_waiting = tasks.is_waiting
    move(run, B, is_back=True)
    run.drain()

    assert is_waiting
    assert not tasks.is_waiting
    assert counts(run)[-1] == 2


def test_a_topic_that_a_pattern_finds_later_comes_to_the_task_that_is_there() -> None:
    run = running(PATTERN, topics=["in-1"])
    run.run({}, topic="in-1", key="k")
    run.broker.admin().create([NewTopic(name="in-2", partitions=1)])
    run.run({}, topic="in-2", key="k")
    run.run({}, topic="in-1", key="k")

    assert counts(run) == [1, 2, 3]


def test_records_that_are_held_back_are_read_again_after_an_abort() -> None:
    run = running(BOTH, topics=["a", "b"])
    run.run({}, topic="b", key="k")
    for number in range(5):
        run.feed({}, "a", key="k", timestamp=NOW_MS + number)
    run.broker.faults.fail_next_commit()
    run.run({}, topic="b", key="k", timestamp=NOW_MS + 2)

    assert counts(run)[-1] == 7
