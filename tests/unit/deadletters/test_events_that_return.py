"""Letters of which the event alone does not tell all: half done, changed meanwhile, no JSON, or written by somebody else."""

from typing import Any

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.contracts.call import Call, CallFailedError
from headrace.runtime.deadletters import Replay
from headrace.runtime.deadletters.change import edit
from tests.unit.deadletters.test_stage_replay import (
    HEAD,
    LOOK_S,
    SINK,
    box_of,
    letters,
    mended,
    replay,
    run_of,
)
from tests.unit.outside import outside
from tests.unit.running import NOW_MS, Running, plans_of, running

FAILING = "config: {call: 'tests.unit.deadletters.functions:change_and_fail'}"
WELL = "config: {set: {ok: true}}"


def refused(run: Running, **given: Any) -> list[str]:
    """Why letters are not sent back; those that are enter the flow."""
    with box_of(run) as box:
        return [one.reason for one in Replay(box, run.plans[0], **given).send(letters(run))]


def test_what_a_stage_has_done_for_other_items_is_not_repeated_unasked() -> None:
    stages = """\
    - {{name: first, action: map, config: {{each: event.lines, value: item.{}}}, out: [sink, quiet]}}
    - {{name: quiet, action: noop}}
    """
    before = run_of(stages.format("a"), {"lines": [{"a": 1, "b": 1}, {"b": 2}]})
    run = mended(before, stages.format("b"))

    (reason,) = refused(run)
    allowed = refused(run, repeats=True)
    run.drain()
    run.clock.advance(LOOK_S)
    run.drain()

    assert reason.startswith("'sink' would work on the record again")
    assert allowed == []
    assert run.data("out") == [1, 1, 2]


def test_a_route_that_was_taken_is_not_repeated_unasked() -> None:
    stages = """\
    - name: first
      action: branch
      config: {mode: all, routes: [{when: event.a > 0, to: sink}, {when: event.b > 0, to: other}]}
    - {name: other, action: publish, config: {topic: other}}
    """
    half, nothing = run_of(stages, {"a": 1}), run_of(stages, {"b": 1})

    assert refused(half)[0].startswith("'sink', 'other' would work")
    assert refused(half, from_source=True)[0].startswith("'sink', 'other' would work")
    assert refused(nothing) == []


def test_what_a_function_has_changed_before_it_failed_again_comes_back_as_it_was() -> None:
    stages = """\
    - {{name: first, action: reduce, config: {{aggregate: {{n: count()}}}}, out: second}}
    - {{name: second, action: map, {}, out: sink}}
    """
    before = run_of(stages.format(FAILING), {}, key="k")
    failing = mended(before, stages.format(FAILING))
    replay(failing)
    (letter,) = letters(failing)
    run = mended(failing, stages.format(WELL))

    replay(run)

    assert letter.value == b'{"key":"k","n":1}'
    assert run.data("out") == [{"key": "k", "n": 1, "ok": True}]


def test_what_was_sent_back_and_fails_where_it_cannot_enter_is_still_shown() -> None:
    stages = """\
    - {{name: first, action: map, config: {{set: {{x: event.{}}}}}, out: second}}
    - {{name: second, action: map, %s, out: sink}}
    """.replace("%s", FAILING.replace("{", "{{").replace("}", "}}"))
    run = mended(run_of(stages.format("a"), {"b": 1}), stages.format("b"))

    replay(run)

    (letter,) = letters(run)
    assert (letter.stage, letter.is_event, letter.enters) == ("second", True, False)
    assert letter.value is not None
    assert (letter.source, letter.source_offset) == (TopicPartition("in", 0), 0)


def test_an_edit_that_cannot_be_decoded_is_in_the_next_letter() -> None:
    run = run_of("- {name: first, action: map, config: {set: {x: event.a}}, out: sink}\n", {"b": 1})
    with box_of(run) as box:
        edit(box, letters(run)[0], b'{"a": 1')

    replay(run)

    (letter,) = letters(run)
    assert (letter.value, letter.enters, letter.error_type) == (
        b'{"a": 1',
        True,
        "UndecodableError",
    )


def test_bytes_go_back_with_their_record_where_events_of_the_flow_are_none() -> None:
    stages = """\
    - {{name: first, action: map, config: {{value: key}}, out: second}}
    - {{name: second, action: map, config: {{value: "{}"}}, out: sink}}
    """
    run = mended(run_of(stages.format("event.x"), {}, key=b"\xff"), stages.format("1"))

    replay(run)

    assert run.data("out") == [1]


def test_an_event_that_would_be_another_one_behind_json_goes_back_with_its_record() -> None:
    stages = """\
    - {{name: first, action: map, config: {{set: {{huge: 1e308 * 10}}}}, out: second}}
    - {{name: second, action: map, config: {{set: {{x: event.{}, above: event.huge > 1}}, drop: [huge]}}, out: sink}}
    """
    run = mended(run_of(stages.format("a"), {"b": 1}), stages.format("b"))

    replay(run)

    assert run.data("out") == [{"b": 1, "x": 1, "above": True}]


def test_headers_of_another_flows_letters_tell_nothing_of_this_one() -> None:
    before = run_of("- {name: first, action: map, config: {set: {x: event.a}}, out: sink}\n", {})
    before.member.close()
    text = HEAD.replace("name: flow", "name: other").replace(
        "topics: in", "topics: headrace.flow.dead-letters"
    )
    text += "- {name: first, action: map, config: {set: {x: event.a}}, out: sink}\n" + SINK
    run = Running(plans_of(text), clock=before.clock, broker=before.broker)

    run.drain()

    (letter,) = letters(run)
    assert letter.source == TopicPartition("headrace.flow.dead-letters", 0)
    assert letter.told("run") == "headrace.flow.dead-letters-0-0"


def test_an_event_of_any_topic_of_a_task_goes_back_to_the_task() -> None:
    text = """
    name: flow
    stages:
    - {{name: small, action: kafka, config: {{topics: small}}, out: first}}
    - {{name: large, action: kafka, config: {{topics: large}}, out: first}}
    - {{name: first, action: map, config: {{set: {{x: event.{}}}}}, out: second}}
    - {{name: second, action: reduce, config: {{key: event.x, aggregate: {{n: count()}}}}, out: sink}}
    - {{name: sink, action: publish, config: {{topic: out}}}}
    """
    clock = running(text.format("a")).clock
    broker = MemoryBroker(clock=clock)
    broker.admin().create(
        [NewTopic(name="small", partitions=1), NewTopic(name="large", partitions=4)]
    )
    before = Running(plans_of(text.format("a")), clock=clock, broker=broker)
    before.feed({"b": 1}, "large", partition=3, timestamp=NOW_MS)
    before.drain()
    before.member.close()
    run = Running(plans_of(text.format("b")), clock=clock, broker=broker)

    replay(run)

    assert run.data("out") == [{"key": "1", "n": 1}]
    assert len(run.read("large")) == 1


def test_a_call_that_is_made_again_has_the_same_id_and_one_behind_a_mended_stage_its_own() -> None:
    stages = """\
    - {{name: first, action: split, config: {{items: event.lines}}, out: second}}
    - {{name: second, action: filter, config: {{where: event.lines.{} > 0}}, out: third}}
    - {{name: third, action: outside, out: sink}}
    """
    ids: dict[int, list[str]] = {}
    is_well = False

    def answer(call: Call) -> Any:
        n = call.event["lines"]["b"]
        ids.setdefault(n, []).append(call.id)
        if n == 2 and not is_well:
            raise CallFailedError("no", is_temporary=False)
        return n

    lines = [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"b": 3}]
    with outside(answer):
        before = run_of(stages.format("a"), {"lines": lines})
        is_well = True
        run = mended(before, stages.format("b"))
        replay(run)

    assert ids == {
        1: ["in-0-0/third"],
        2: ["in-0-0/third/1"] * 2,
        3: ["in-0-0/third/replay-0-" + ids[3][0][-1]],
    }
    assert sorted(run.data("out")) == [1, 2, 3]
