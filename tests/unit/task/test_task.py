"""A task: how far its inputs have come, and what a restart or an abort goes on from."""

import pytest

from tests.unit.running import NOW_MS, Running, running

SESSIONS = """
name: flow
stages:
  - {name: a, action: kafka, config: {topics: a}, out: it}
  - {name: b, action: kafka, config: {topics: b}, out: it}
  - name: it
    action: reduce
    config: {window: {session: 10ms}, aggregate: {n: count()}, emit: final, late: {topic: late}}
    out: sink
  - {name: sink, action: publish, config: {topic: out}}
"""
MINUTES = SESSIONS.replace("{session: 10ms}", "{tumbling: 10ms}")


def again(run: Running, how: str) -> None:
    """Let the worker end and another one go on, or let a transaction fail."""
    if how == "restart":
        run.member.close()
        run._member = run.joined("again")
    elif how == "kill":
        run.clock.advance(60)
        run._member = run.joined()
    elif how == "abort":
        run.broker.faults.fail_next_commit()


@pytest.mark.parametrize("how", ["", "restart", "kill", "abort"])
@pytest.mark.parametrize("text", [SESSIONS, MINUTES], ids=["keyed", "fold"])
def test_event_time_does_not_go_back_when_an_input_that_was_idle_goes_on(
    text: str, how: str
) -> None:
    run = running(text, topics=["a", "b"])
    run.feed({}, "b", key="k", timestamp=NOW_MS)
    run.run({}, topic="a", key="k", timestamp=NOW_MS)
    run.clock.advance(20)  # both are idle now
    run.drain()
    run.run({}, topic="a", key="x", timestamp=NOW_MS + 1_000)
    run.clock.advance(20)
    run.drain()

    again(run, how)
    run.run({}, topic="b", key="k", timestamp=NOW_MS + 3)
    for topic in ("a", "b"):
        run.run({}, topic=topic, key="x", timestamp=NOW_MS + 5_000)

    assert [one.key for one in run.read("late")] == [b"k"]
    assert [one["n"] for one in run.data("out") if one["key"] == "k"] == [2]


def test_an_input_that_is_silent_holds_up_event_time_until_it_is_idle() -> None:
    run = running(MINUTES, topics=["a", "b"])
    run.feed({}, "b", key="k", timestamp=NOW_MS)
    run.run({}, topic="a", key="k", timestamp=NOW_MS + 1_000)
    before = run.data("out")

    run.clock.advance(20)
    run.drain()

    assert before == []
    assert [(one["key"], one["n"]) for one in run.data("out")] == [("k", 1)]
