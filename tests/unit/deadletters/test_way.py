"""The way back of letters that real flows wrote."""

from textwrap import dedent
from typing import Any

import pytest

from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.deadletters import Choice, Letter, LetterBox, Replay
from headrace.runtime.deadletters.way import Way, way_of
from headrace.runtime.errors import RecordError, TransactionError
from headrace.runtime.worker.topics import ensure_topics
from tests.unit.running import NOW_MS, Running, plans_of, running

HEAD = "name: flow\nstages:\n- {name: in, action: kafka, config: {topics: in}, out: first}\n"
SINK = "- {name: sink, action: publish, config: {topic: out}}\n"
BAD = "action: map, config: {set: {x: event.a * 2}}"
PUBLISH = "action: publish, config: {topic: out}"


def run_of(stages: str, *values: Any, **given: Any) -> Running:
    run = running(HEAD + dedent(stages) + SINK, **given)
    run.run(*values)
    return run


def box_of(run: Running) -> LetterBox:
    topic = run.plans[0].dead_letter_topic
    assert topic is not None
    return LetterBox(run.broker, {}, topic, run.clock)


def letter_of(run: Running, stage: str) -> Letter:
    with box_of(run) as box:
        (letter,) = (one for one, _ in box.letters(Choice(stages=[stage])))
    return letter


def way(run: Running, stage: str) -> Way:
    return way_of(run.plans[0], letter_of(run, stage))


def replay(run: Running, **given: bool) -> list[str]:
    with box_of(run) as box:
        letters = [one for one, _ in box.letters(Choice())]
        return [one.reason for one in Replay(box, run.plans[0], **given).send(letters)]


def test_a_stage_with_nothing_but_computing_before_it_is_reached_exactly() -> None:
    run = run_of(
        f"""\
        - {{name: first, action: filter, config: {{where: "true"}}, out: second}}
        - {{name: second, {BAD}, out: sink}}
        """,
        {"b": 1},
    )

    assert way(run, "second").repeats == ()


def test_what_was_written_beside_the_failing_stage_would_be_written_again() -> None:
    run = run_of(
        f"""\
        - {{name: first, action: noop, out: [beside, second]}}
        - {{name: beside, {PUBLISH}}}
        - {{name: second, {BAD}, out: sink}}
        """,
        {"b": 1},
    )

    assert way(run, "second").repeats == ("beside",)


def test_routes_that_the_record_did_not_take_do_not_count() -> None:
    run = run_of(
        f"""\
        - name: first
          action: branch
          config:
            routes: [{{when: event.b == 1, to: [second, beside]}}, {{when: "true", to: other}}]
        - {{name: other, {PUBLISH}}}
        - {{name: beside, {PUBLISH}}}
        - {{name: second, {BAD}, out: sink}}
        """,
        {"b": 1},
    )

    assert way(run, "second").repeats == ("beside",)


def test_the_other_items_of_a_record_would_be_repeated() -> None:
    run = run_of(
        f"""\
        - {{name: first, action: split, config: {{items: event.lines, keep: false, part: null}}, out: second}}
        - {{name: second, {BAD}, out: sink}}
        """,
        {"lines": [{"a": 1}, {"b": 1}]},
    )

    assert way(run, "second").repeats == ("sink",)


def test_a_record_without_its_key_never_came_to_the_topic_behind() -> None:
    run = run_of(
        """\
        - {name: first, action: reduce, config: {key: event.user, aggregate: {n: count()}}, out: sink}
        """,
        {"n": 1},
    )

    found = way(run, "first")

    assert (found.to.topic, found.repeats) == ("in", ())


def test_a_letter_of_a_keyed_stage_goes_to_the_topic_in_front_of_it() -> None:
    run = run_of(
        """\
        - {name: first, action: reduce, config: {key: event.user, aggregate: {n: sum(event.n)}}, out: sink}
        """,
        {"user": "a", "n": "x"},
    )

    found = way(run, "first")

    assert (found.to.topic, found.repeats) == ("headrace.flow.first.repartition", ())
    assert found.is_own_topic


def behind_a_window() -> Running:
    return run_of(
        f"""\
        - {{name: first, action: reduce, config: {{key: event.user, aggregate: {{n: count()}}}}, out: second}}
        - {{name: second, {BAD}, out: sink}}
        """,
        {"user": "a"},
    )


def test_an_event_of_a_keyed_stage_is_in_its_letter() -> None:
    letter = letter_of(behind_a_window(), "second")

    assert letter.is_event
    assert letter.as_dict()["value"] == {"key": "a", "n": 1}


def test_state_is_not_changed_twice() -> None:
    run = behind_a_window()

    (reason,) = replay(run, from_source=True)

    assert "'first' would work on the record again" in reason


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ("- {name: frist, action: noop, out: sink}", "no stage 'first' any more; did you mean"),
        ("- {name: first, action: noop, link: topic, out: sink}", None),
    ],
)
def test_a_flow_that_has_changed_is_asked_as_it_is_now(stages: str, said: str | None) -> None:
    run = run_of(f"- {{name: first, {BAD}, out: sink}}\n", {"b": 1})
    head = HEAD if said is None else HEAD.replace("out: first", "out: frist")
    (plan,) = plans_of(head + stages + "\n" + SINK)
    letter = letter_of(run, "first")

    if said is None:
        assert way_of(plan, letter).repeats == ()
    else:
        with pytest.raises(RecordError, match=said):
            way_of(plan, letter)


def test_a_topic_that_the_flow_does_not_read_any_more_is_no_way() -> None:
    run = run_of(f"- {{name: first, {BAD}, out: sink}}\n", {"b": 1})
    changed = HEAD.replace("topics: in", "topics: other")
    (plan,) = plans_of(f"{changed}- {{name: first, {BAD}, out: sink}}\n{SINK}")

    with pytest.raises(RecordError, match="read from 'in', which the flow does not read any more"):
        way_of(plan, letter_of(run, "first"))


def test_what_somebody_else_wrote_there_is_no_letter() -> None:
    run = run_of(f"- {{name: first, {BAD}, out: sink}}\n")
    run.feed({"b": 1}, "headrace.flow.dead-letters", key=b"\xff")

    (reason,) = replay(run)

    assert "something else than headrace wrote it" in reason
    assert letter_of(run, "").as_dict()["key"] == "base64:/w=="


def test_a_replayed_record_has_its_key_its_headers_and_its_time() -> None:
    run = running(f"{HEAD}- {{name: first, {BAD}, out: sink}}\n{SINK}")
    run.run({"b": 1}, key="k", headers=[("mine", b"1")], timestamp=NOW_MS - 5_000)

    assert replay(run, from_source=True) == []

    again = run.read("in")[-1]
    assert (again.key, again.value, again.timestamp) == (b"k", b'{"b":1}', NOW_MS - 5_000)
    assert again.headers == {
        "mine": b"1",
        "headrace-replay": b"first",
        "headrace-replayed-run": b"in-0-0",
    }


def test_a_record_that_its_topic_would_delete_is_given_the_time_of_now() -> None:
    run = running(f"{HEAD}- {{name: first, {BAD}, out: sink}}\n{SINK}", topics=["in"])
    run.run({"b": 1}, timestamp=NOW_MS)
    run.clock.advance(30 * 86_400)

    (reason,) = replay(run, from_source=True)

    assert "--now gives it the time of now" in reason
    assert replay(run, from_source=True, is_now=True) == []
    assert run.read("in")[-1].timestamp > NOW_MS


def test_what_was_too_large_for_a_letter_comes_from_the_source() -> None:
    run = running(f"{HEAD}- {{name: first, {BAD}, out: sink}}\n{SINK}")
    topic, small = str(run.plans[0].dead_letter_topic), {"max.message.bytes": "2000"}
    run.broker.admin().delete([topic])
    run.broker.admin().create([NewTopic(name=topic, partitions=1, config=small)])
    run.topics = ensure_topics(run.broker.admin(), run.plans, run.settings)
    run.feed({"b": "x" * 5_000}, key="k" * 3_000, headers=[("mine", b"x" * 3_000)])
    run.drain()
    assert letter_of(run, "first").value is None

    assert replay(run) == []

    again = run.read("in")[-1]
    assert (len(again.value or b""), len(again.key or b"")) == (5_008, 3_000)
    assert len(again.headers["mine"] or b"") == 3_000


def test_who_chose_letters_before_another_replayed_them_writes_nothing() -> None:
    run = running(f"{HEAD}- {{name: first, {BAD}, out: sink}}\n{SINK}")
    run.run({"b": 1})
    with box_of(run) as box:
        letters = [one for one, _ in box.letters(Choice())]
        assert replay(run, from_source=True) == []

        refusals = list(Replay(box, run.plans[0], from_source=True).send(letters))

    assert refusals == []
    assert len(run.read("in")) == 2


def test_a_replay_that_fails_holds_up_no_reader() -> None:
    run = running(f"{HEAD}- {{name: first, {BAD}, out: sink}}\n{SINK}")
    run.run({"b": 1})
    run.broker.faults.fail_next_commit()

    with pytest.raises(TransactionError):
        replay(run)

    run.feed({"a": 1})
    assert len(run.read("in")) == 2
