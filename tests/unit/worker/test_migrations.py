"""A document that changes while there is state: what goes on, what is turned, and what is refused."""

import logging
from textwrap import dedent

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import FlowError
from headrace.runtime.state.shapes import shapes_in
from headrace.runtime.task.commit import Step
from headrace.runtime.worker import migrations
from tests.unit.running import NOW_MS, Running, plans_of, running

TOTALS = """
name: totals
stages:
  - {name: in, action: kafka, config: {topics: in}, out: sum}
  - {name: sum, action: reduce, config: {aggregate: {total: sum(event.n), high: max(event.n)}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
# The sum changes its place, so that what is turned twice is wrong.
WITH_COUNT = TOTALS.replace(
    "total: sum(event.n), high: max(event.n)", "n: count(), total: sum(event.n)"
)
BY_USER = TOTALS.replace("{aggregate", "{key: event.user, aggregate")
CHANGELOG = "headrace.totals.sum.changelog"


def again(before: Running, text: str, **given: object) -> Running:
    """Workers of another document, on the same broker, after those before have stopped."""
    before.member.close()
    return Running(
        plans_of(dedent(text)),
        settings=before.settings,
        clock=before.clock,
        broker=before.broker,
        **given,  # type: ignore[arg-type] # fields of the class
    )


def begin(one: Running) -> None:
    """Let the member join, restore and turn what it has, until its tasks are ready."""
    tasks = one.member._session.tasks
    assert tasks is not None
    one.member.step(0)
    for _ in range(10_000):
        one.member.step(0.01)
        one.clock.advance(0.2)
        if not tasks.is_waiting:
            return
    pytest.fail("the tasks were not ready in time")


def shapes(broker: MemoryBroker) -> list[object]:
    reader, admin = broker.reader("test", {}), broker.admin()
    found = shapes_in(reader, admin, [TopicPartition(CHANGELOG, 0)])
    return list(found.values())


def test_what_is_counted_goes_on_while_aggregates_come_and_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = running(TOTALS, topics=["in"])
    first.run({"n": 1}, {"n": 5}, key="a")
    first.run({"n": 7}, key="b")

    second = again(first, WITH_COUNT)
    with caplog.at_level(logging.WARNING):
        begin(second)
        second.run({"n": 10}, key="a")

    last = second.data("out")[-1]
    assert (last["total"], last["n"]) == (16, 1)
    assert "high" not in last
    assert shapes(second.broker) == [second.plans[0].stores[0].shape]
    assert "n = count() counts from now on; max(event.n) is forgotten" in caplog.text


def test_every_key_is_turned_though_only_few_get_records() -> None:
    first = running(TOTALS, topics=["in"])
    for number in range(50):
        first.feed({"n": number}, key=f"key-{number}")
    first.drain()
    second = again(first, WITH_COUNT)
    begin(second)
    second.run({"n": 1}, key="key-7")

    third = again(second, WITH_COUNT)
    begin(third)
    third.run({"n": 1}, key="key-8", timestamp=NOW_MS)

    assert third.data("out")[-1]["total"] == 9
    assert third.data("out")[-1]["n"] == 1


@pytest.mark.parametrize(
    "died_at", [Step.WRITE_CHANGELOG, Step.COMMIT_TRANSACTION, Step.WRITE_STORES]
)
def test_a_migration_goes_on_where_a_killed_worker_was(
    died_at: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "BATCH_ENTRIES", 10)
    first = running(TOTALS, topics=["in"])
    for number in range(50):
        first.feed({"n": number}, key=f"key-{number:02}")
    first.drain()
    commits = 0

    def reached(at: Step) -> None:
        nonlocal commits
        commits += at is died_at
        if at is died_at and commits == 2:
            raise KilledError

    second = again(first, WITH_COUNT, reached=reached)
    with pytest.raises(KilledError):
        begin(second)
    assert shapes(first.broker) == [first.plans[0].stores[0].shape]

    third = Running(second.plans, settings=second.settings, clock=second.clock, broker=first.broker)
    second.member.abandon()
    begin(third)
    for number in range(50):
        third.feed({"n": 1}, key=f"key-{number:02}")
    third.drain()

    last = {
        one.key: (one.data["total"], one.data["n"]) for one in third.read("out") if "n" in one.data
    }
    assert last == {f"key-{number:02}".encode(): (number + 1, 1) for number in range(50)}


class KilledError(Exception):
    """Stands for the end of a process."""


def test_another_document_does_not_take_over_in_the_middle_of_a_migration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrations, "BATCH_ENTRIES", 10)
    first = running(TOTALS, topics=["in"])
    for number in range(50):
        first.feed({"n": number}, key=f"key-{number:02}")
    first.drain()
    second = again(first, WITH_COUNT)
    while second.member.statistics.commits < 2:
        second.member.step(0)
        second.clock.advance(0.2)

    back = again(second, TOTALS)
    with pytest.raises(FlowError, match="another document was turning it into its own") as caught:
        begin(back)

    assert caught.value.problems[0].place == "<text>:5"


def test_state_under_another_key_is_refused_with_what_was_what_is_and_what_to_do() -> None:
    first = running(TOTALS, topics=["in"])
    first.run({"n": 1, "user": "u"}, key="a")

    second = again(first, BY_USER)
    with pytest.raises(FlowError) as caught:
        begin(second)

    (problem,) = caught.value.problems
    assert problem.place == "<text>:5"
    assert problem.text.startswith(
        "stage 'sum' cannot use the state that it has: key was the record's own, is event.user; go back to the earlier"
    )
    assert "`headrace reset '<text>' --stage sum`" in problem.text


def test_windows_keep_what_they_have_while_an_aggregate_is_added() -> None:
    text = TOTALS.replace("{aggregate", "{window: {tumbling: 1m}, emit: final, aggregate")
    first = running(text, topics=["in"])
    first.run({"n": 1}, {"n": 2}, key="a")

    second = again(first, text.replace("high: max(event.n)", "n: count()"))
    begin(second)
    second.run({"n": 3}, key="a")
    second.run({"n": 0}, key="b", timestamp=NOW_MS + 120_000)

    (result,) = [one for one in second.data("out") if one["key"] == "a"]
    assert (result["total"], result["n"]) == (6, 1)


def test_a_renamed_stage_goes_on_with_its_state() -> None:
    first = running(TOTALS, topics=["in"])
    first.run({"n": 1}, key="a")

    renamed = TOTALS.replace("name: sum,", "name: adds, renamed_from: sum,").replace(
        "out: sum", "out: adds"
    )
    second = again(first, renamed)
    begin(second)
    second.run({"n": 2}, key="a")

    assert second.data("out")[-1]["total"] == 3
