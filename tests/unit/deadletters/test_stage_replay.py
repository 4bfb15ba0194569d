"""Letters that go back to the very stage that failed: real flows on the broker in memory."""

from textwrap import dedent
from typing import Any

import pytest

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.deadletters import Choice, Letter, LetterBox, Replay
from headrace.runtime.deadletters.change import edit
from headrace.runtime.worker.purge import LinkPurge
from tests.unit.running import NOW_MS, Running, plans_of, running

HEAD = "name: flow\nstages:\n- {name: in, action: kafka, config: {topics: in}, out: first}\n"
SINK = "- {name: sink, action: publish, config: {topic: out}}\n"
BAD = "config: {set: {x: event.a * 2}}"
MENDED = "config: {set: {x: event.b * 2}}"
LOOK_S = 6.0


def flow(stages: str) -> str:
    return HEAD + dedent(stages) + SINK


def run_of(stages: str, *values: Any, **given: Any) -> Running:
    run = running(flow(stages))
    run.run(*values, **given)
    return run


def mended(before: Running, stages: str) -> Running:
    """The same group, after it was stopped, with a better document."""
    before.member.close()
    return Running(plans_of(flow(stages)), clock=before.clock, broker=before.broker)


def box_of(run: Running) -> LetterBox:
    topic = run.plans[0].dead_letter_topic
    assert topic is not None
    return LetterBox(run.broker, {}, topic, run.clock)


def letters(run: Running) -> list[Letter]:
    with box_of(run) as box:
        return [one for one, _ in box.letters(Choice())]


def replay(run: Running) -> None:
    """Send all letters back, and let the flow work."""
    with box_of(run) as box:
        found = [one for one, _ in box.letters(Choice())]
        assert [one.reason for one in Replay(box, run.plans[0]).send(found)] == []
    while not (run.member.is_ready.is_set() and run.member.is_resting):
        run.member.step(0)  # state is restored in a thread of its own
        run.clock.advance(0.2)
    run.clock.advance(LOOK_S)
    run.drain()


def test_nothing_before_the_stage_or_beside_it_is_done_again() -> None:
    stages = """\
    - {{name: first, action: publish, config: {{topic: noted}}, out: [beside, second]}}
    - {{name: beside, action: publish, config: {{topic: beside}}}}
    - {{name: second, action: map, {}, out: sink}}
    """
    run = mended(run_of(stages.format(BAD), {"b": 1}), stages.format(MENDED))

    replay(run)

    assert run.data("out") == [{"b": 1, "x": 2}]
    assert [len(run.data(topic)) for topic in ("in", "noted", "beside")] == [1, 1, 1]
    assert letters(run) == []


def test_of_what_was_split_only_the_part_that_failed_goes_on() -> None:
    stages = """\
    - {{name: first, action: split, config: {{items: event.lines}}, out: second}}
    - {{name: second, action: map, config: {{set: {{x: {}}}}}, out: sink}}
    """
    before = run_of(stages.format("event.lines.a * 2"), {"lines": [{"a": 1}, {"b": 2}, {"a": 3}]})
    run = mended(before, stages.format("event.lines.b * 2"))

    replay(run)

    assert [one["x"] for one in run.data("out")] == [2, 6, 4]


def test_what_a_window_has_sent_on_goes_on_behind_it_and_state_stays_as_it_is() -> None:
    stages = """\
    - {{name: first, action: reduce, config: {{key: event.user, aggregate: {{n: count()}}}}, out: second}}
    - {{name: second, action: map, config: {{set: {{x: {}}}}}, out: sink}}
    """
    before = run_of(stages.format("event.m + 1"), {"user": "a"}, {"user": "a"})
    run = mended(before, stages.format("event.n + 1"))

    replay(run)
    run.run({"user": "a"})

    assert run.data("out") == [{"key": "a", "n": 2, "x": 3}, {"key": "a", "n": 3, "x": 4}]


def test_state_behind_the_stage_sees_the_event_once() -> None:
    stages = """\
    - {{name: first, action: map, {}, out: second}}
    - {{name: second, action: reduce, config: {{aggregate: {{n: sum(event.x)}}}}, out: sink}}
    """
    before = run_of(stages.format(BAD), {"b": 1}, {"a": 1}, key="k")
    run = mended(before, stages.format(MENDED))

    replay(run)

    assert run.data("out")[-1] == {"key": "k", "n": 4}


def test_the_run_keeps_its_key_time_headers_and_results() -> None:
    stages = """\
    - {{name: first, action: map, config: {{take: [b]}}, out: second}}
    - {{name: second, action: map, {}, out: third}}
    - name: third
      action: map
      config: {{set: {{key: key, at: timestamp, was: trigger.event.user, first: results.first.b, of: trigger.topic}}}}
      out: sink
    """
    trigger = "config: {topics: in, key: event.user, timestamp: event.at}"
    text = flow(stages.format(BAD)).replace("config: {topics: in}", trigger)
    before = running(text)
    before.run({"b": 1, "user": "ann", "at": NOW_MS - 7}, headers=[("mine", b"1")])
    before.member.close()
    better = text.replace("event.a * 2", "event.b * 2")
    run = Running(plans_of(better), clock=before.clock, broker=before.broker)

    replay(run)

    (record,) = run.read("out")
    assert (record.key, record.timestamp, record.headers) == (b"ann", NOW_MS - 7, {"mine": b"1"})
    assert record.data == {
        "b": 1,
        "x": 2,
        "key": "ann",
        "at": NOW_MS - 7,
        "was": "ann",
        "first": 1,
        "of": "in",
    }


def test_what_fails_again_is_a_letter_again_and_tells_where_it_once_came_from() -> None:
    run = run_of(f"- {{name: first, action: map, {BAD}, out: sink}}\n", {"b": 1}, key="k")
    (before,) = letters(run)

    replay(run)

    (after,) = letters(run)
    assert after.id != before.id
    assert (after.source, after.source_offset, after.told("run")) == (
        before.source,
        before.source_offset,
        before.told("run"),
    )
    assert (after.key, after.value) == (before.key, before.value)


def test_what_was_edited_is_what_the_stage_gets() -> None:
    run = run_of(
        f"""\
        - {{name: first, action: map, config: {{rename: {{b: c}}}}, out: second}}
        - {{name: second, action: map, {BAD}, out: sink}}
        """,
        {"b": 1},
    )
    with box_of(run) as box:
        edit(box, letters(run)[0], b'{"a": 4}')

    replay(run)

    assert run.data("out") == [{"a": 4, "x": 8}]


def test_a_commit_that_fails_takes_nothing_away_and_doubles_nothing() -> None:
    run = run_of(f"- {{name: first, action: map, {BAD}, out: sink}}\n", {"b": 1}, {"b": 2})
    with box_of(run) as box:
        for letter in letters(run):
            edit(box, letter, b'{"a": 1}')
        assert list(Replay(box, run.plans[0]).send(letters(run))) == []
    run.broker.faults.fail_next_commit()
    run.clock.advance(LOOK_S)

    run.drain()
    run.clock.advance(LOOK_S)
    run.drain()

    assert run.data("out") == [{"a": 1, "x": 2}, {"a": 1, "x": 2}]


def test_a_member_that_comes_later_goes_on_where_the_last_one_was() -> None:
    stages = f"- {{name: first, action: map, {BAD}, out: sink}}\n"
    run = run_of(stages, {"b": 1})
    with box_of(run) as box:
        edit(box, letters(run)[0], b'{"a": 1}')
    replay(run)

    later = mended(run, stages)
    later.run({"a": 3})
    later.clock.advance(LOOK_S)
    later.drain()

    assert later.data("out") == [{"a": 1, "x": 2}, {"a": 3, "x": 6}]


def test_what_is_done_is_deleted_at_once_and_when_that_failed_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = "- {{name: first, action: map, {}, out: sink}}\n"
    topic = TopicPartition("headrace.flow.in.replay", 0)
    run = mended(run_of(stages.format(BAD), {"b": 1}, {"b": 2}), stages.format(MENDED))
    admin = run.broker.admin()
    monkeypatch.setattr(LinkPurge, "committed", lambda *_: None)
    replay(run)
    left, end = (admin.offsets([topic], where)[topic] for where in ("earliest", "latest"))

    again = mended(run, stages.format(MENDED))
    monkeypatch.undo()
    again.drain()
    with box_of(again) as box:
        again.feed({})
        again.drain()
        edit(box, letters(again)[0], b'{"b": 3}')
    first = admin.offsets([topic], "earliest")[topic]
    replay(again)
    again.member.close()

    assert (left, first) == (0, end)
    assert admin.offsets([topic], "earliest") == admin.offsets([topic], "latest")
    assert [one["x"] for one in again.data("out")] == [2, 4, 6]


def test_events_that_nobody_reads_any_more_are_warned_of_until_the_name_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = flow(f"- {{name: first, action: map, {MENDED}, out: sink}}\n")
    before = running(text.replace("event.b", "event.a"))
    before.run({"b": 1})
    with box_of(before) as box:
        assert list(Replay(box, before.plans[0]).send(letters(before))) == []
    before.member.close()
    renamed = text.replace("name: in,", "name: source,")
    lost = Running(plans_of(renamed), clock=before.clock, broker=before.broker)
    lost.drain()
    lost.member.close()
    told = renamed.replace("name: source,", "name: source, renamed_from: in,")
    run = Running(plans_of(told), clock=before.clock, broker=before.broker)

    run.drain()

    warnings = [one.getMessage() for one in caplog.records if "nobody reads" in one.getMessage()]
    assert len(warnings) == 1
    assert "'headrace.flow.in.replay'" in warnings[0]
    assert run.data("out") == [{"b": 1, "x": 2}]


def test_an_event_for_a_stage_that_is_gone_when_it_is_read_is_a_letter_again() -> None:
    text = flow(f"- {{name: first, action: map, {BAD}, out: sink}}\n")
    before = running(text)
    before.run({"b": 1})
    with box_of(before) as box:
        assert list(Replay(box, before.plans[0]).send(letters(before))) == []
    before.member.close()
    changed = text.replace("first", "other").replace(
        "name: other,", "name: other, renamed_from: first,"
    )
    run = Running(plans_of(changed), clock=before.clock, broker=before.broker)
    run.drain()

    (letter,) = letters(run)

    assert (
        letter.error == "the flow that runs has no stage 'first' where events are sent back to it"
    )
    assert (letter.stage, letter.value, letter.is_event) == ("first", b'{"b":1}', True)


@pytest.mark.parametrize(
    "stages",
    [
        # Which of the two has sent the event, nobody could tell.
        """\
        - {name: first, action: filter, config: {where: "true"}, out: [left, right]}
        - {name: left, action: noop, out: both}
        - {name: right, action: noop, out: both}
        - {name: both, action: join, config: {left: left, right: right, within: 1m}, out: sink}
        """,
        # The function may have changed the event before it failed.
        """\
        - {name: first, action: map, config: {call: "tests.unit.deadletters.functions:change_and_fail"}, out: sink}
        """,
    ],
    ids=["sides of a join", "a function"],
)
def test_where_the_event_is_not_all_it_takes_the_record_is_in_the_letter(stages: str) -> None:
    run = run_of(stages, {"b": 1})

    assert letters(run)
    assert not any(one.is_event for one in letters(run))
