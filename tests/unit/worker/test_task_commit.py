"""The tasks' part in the commit: what is written to the changelogs and to the store, and what an abort takes back."""

import pytest

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.state.layout import checkpoint_of, end_of, region_of, store_number
from headrace.runtime.state.shapes import shapes_in
from headrace.runtime.task.commit import Step
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.task_commit import FLUSH_EVERY_S
from tests.unit.running import NOW_MS, Running, running

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: it}
  - {name: it, action: %s, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
TOTALS = FLOW % "reduce, config: {aggregate: {n: count()}}"
ONCE = FLOW % "dedupe, config: {by: event.id, within: 1h}"
BOTH = pytest.mark.parametrize("text", [TOTALS, ONCE], ids=["fold", "keyed"])
CHANGELOG = TopicPartition("headrace.flow.it.changelog", 0)


def end_of_changelog(run: Running) -> int:
    return run.broker.admin().ends([CHANGELOG])[CHANGELOG]


def checkpoint(member: Member) -> int | None:
    store = member.store
    assert store is not None
    return checkpoint_of(store, region_of(store_number(store, CHANGELOG.topic), 0))


def stored(member: Member, kind: bytes) -> list[bytes]:
    """The keys of one kind in the store, without their region."""
    store = member.store
    assert store is not None
    region = region_of(store_number(store, CHANGELOG.topic), 0)
    return [key[len(region) :] for key, _ in store.range(region + kind, end_of(region + kind))]


@BOTH
def test_the_shape_of_the_state_is_noted_though_the_first_transaction_was_aborted(
    text: str,
) -> None:
    run = running(text, topics=["in"])
    run.broker.faults.fail_next_commit()
    run.run({"id": 1}, key="a")

    found = shapes_in(run.broker.reader("test", {}), run.broker.admin(), [CHANGELOG])

    assert found == {CHANGELOG: run.plans[0].stores[0].shape}


@BOTH
def test_a_checkpoint_is_noted_when_the_partition_goes(text: str) -> None:
    run = running(text, topics=["in"])
    run.run({"id": 1}, key="a")
    end, member = end_of_changelog(run), run.member
    before = checkpoint(member)
    run.run({"id": 2}, key="b")

    member.revoked([TopicPartition("in", 0)])

    assert (before or 0) <= end
    assert checkpoint(member) == end_of_changelog(run) > end


@BOTH
def test_no_checkpoint_counts_what_was_written_when_the_partitions_were_lost(text: str) -> None:
    run = running(text, topics=["in"])
    run.run({"id": 1}, key="a")
    before = checkpoint(run.member)
    run.run({"id": 2}, key="b")

    run.member.lost([TopicPartition("in", 0)])
    run.clock.advance(FLUSH_EVERY_S + 1)
    tasks = run.member._session.tasks
    assert tasks is not None
    tasks.commit.flush()

    assert checkpoint(run.member) == before


def test_what_was_committed_is_in_the_store_after_a_while_though_nothing_more_comes() -> None:
    run = running(TOTALS, topics=["in"])
    run.feed({}, key="a")
    run.drain()
    run.clock.advance(FLUSH_EVERY_S)

    run.member.step(0)

    assert [key[9:] for key in stored(run.member, b"w")] == [b"a"]


@BOTH
@pytest.mark.parametrize("fatal", list(Step))
def test_state_is_that_of_the_commit_whichever_step_a_worker_dies_in(
    text: str, fatal: Step
) -> None:
    run = running(text, topics=["in"])
    run.run({"id": 0}, key="a")

    def die(step: Step) -> None:
        if step is fatal:
            raise KeyboardInterrupt

    run.member.close()
    run.reached = die
    dying = run.joined("dying")
    run.feed({"id": 1}, key="a")
    with pytest.raises(KeyboardInterrupt):
        run.drain(dying)
    run.reached = lambda step: None
    run.clock.advance(60)  # the session of the dead member ends
    again = run.joined("dying")
    run.drain(again)
    run.feed({"id": 1}, key="a")
    run.drain(again)

    found = run.data("out")
    wanted = [1, 2, 3] if text is TOTALS else [0, 1]
    assert [one.get("n", one.get("id")) for one in found] == wanted


def test_late_records_are_counted_with_the_commit_and_once() -> None:
    window = "reduce, config: {window: {tumbling: 10ms}, aggregate: {n: count()}, emit: final}"
    run = running(FLOW % window, topics=["in"])
    run.run({}, key="a", timestamp=NOW_MS + 1_000)
    run.broker.faults.fail_next_commit()
    run.run({}, key="a", timestamp=NOW_MS)

    assert run.member.statistics.late == {("flow", "it"): 1}
