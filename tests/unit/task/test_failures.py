"""What becomes of a record that fails."""

import logging
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.errors import FlowStoppedError, RecordError
from headrace.runtime.worker.topics import ensure_topics
from tests.unit.running import NOW_MS, Running, running

HERE = Path(__file__).name


def fail(event: object) -> None:
    """A user's function that quotes its argument."""
    raise ValueError(f"cannot take {event}")


def refuse(event: object) -> None:
    """A user's function that uses our error."""
    raise RecordError(f"cannot take {event}")


class UnreadableError(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("broken")


def fail_badly(event: object) -> None:
    raise UnreadableError


def fail_with_half_a_character(event: object) -> None:
    raise ValueError("\ud800")


def recurse(event: object) -> object:
    return recurse(event)


def nothing(event: object) -> None:
    """A user's function that forgets to return."""


def flow(stages: str, head: str = "") -> str:
    text = f"name: flow\n{head}\nstages:\n- {{name: in, action: kafka, config: {{topics: in}}, out: first}}\n"
    sink = "- {name: sink, action: publish, config: {topic: out}}\n"
    return text + dedent(stages).strip() + "\n" + (sink if "sink" in stages else "")


def run_of(stages: str, head: str = "", **given: object) -> Running:
    return running(flow(stages, head), **given)  # type: ignore[arg-type] # settings of any type


FILTER = "- {name: first, action: filter, config: {where: event.a > 1}, out: sink}"


def test_a_failing_record_between_good_ones_is_the_only_one_that_fails() -> None:
    run = run_of(FILTER)

    run.run({"a": 2}, {"b": 5}, {"a": 3})

    assert run.data("out") == [{"a": 2}, {"a": 3}]
    assert [one.data for one in run.dead_letters] == [{"b": 5}]


def test_a_dead_letter_tells_everything() -> None:
    run = run_of(FILTER, 'version: "7"')

    run.run({"b": 5}, key="k", headers=[("mine", b"x")], timestamp=NOW_MS - 1)

    (letter,) = run.dead_letters
    assert (letter.key, letter.value, letter.timestamp) == (b"k", b'{"b":5}', NOW_MS - 1)
    assert letter.headers == {
        "mine": b"x",
        "headrace-flow": b"flow",
        "headrace-flow-version": b"7",
        "headrace-stage": b"first",
        "headrace-action": b"filter",
        "headrace-error-type": b"KeyError",
        "headrace-error": b"event has no field 'a'; it has b",
        "headrace-failed-at": str(NOW_MS).encode(),
        "headrace-source-topic": b"in",
        "headrace-source-partition": b"0",
        "headrace-source-offset": b"0",
        "headrace-source-timestamp": str(NOW_MS - 1).encode(),
        "headrace-run": b"in-0-0",
        "headrace-trigger": b"in",
        "headrace-value": b"event",
    }


def test_bytes_that_are_no_json_are_a_failure_of_the_trigger() -> None:
    run = run_of(FILTER)

    run.run(b'{"a": ')

    (letter,) = run.dead_letters
    assert letter.headers["headrace-stage"] == b"in"
    assert letter.headers["headrace-error-type"] == b"UndecodableError"
    assert letter.value == b'{"a": '


def test_a_failure_in_one_branch_does_not_stop_its_siblings() -> None:
    run = run_of("""
        - {name: first, action: noop, out: [bad, sink]}
        - {name: bad, action: error}
        """)

    run.run({"a": 1})

    assert run.data("out") == [{"a": 1}]
    assert len(run.dead_letters) == 1


def test_an_item_that_fails_does_not_stop_the_items_behind_it() -> None:
    run = run_of(
        '- {name: first, action: map, config: {each: event.items, value: "6 / item"}, out: sink}'
    )

    run.run({"items": [1, 0, 2]})

    assert run.data("out") == [6.0, 3.0]
    (letter,) = run.dead_letters
    assert letter.headers["headrace-error"] == b"division by zero in 6 / item"


def test_a_handler_gets_the_error_the_event_and_where_it_came_from() -> None:
    run = run_of("""
        - {name: first, action: filter, config: {where: event.a > 1}, on_error: handle, out: sink}
        - {name: handle, action: publish, config: {topic: errors}}
        """)

    run.run({"b": 5})

    assert run.data("errors") == [
        {
            "error": {
                "flow": "flow",
                "stage": "first",
                "type": "KeyError",
                "message": "event has no field 'a'; it has b",
                "time": NOW_MS,
            },
            "event": {"b": 5},
            "source": {"topic": "in", "partition": 0, "offset": 0, "run": "in-0-0"},
        }
    ]


def test_a_handler_gets_the_event_also_when_a_comprehension_failed() -> None:
    run = run_of("""
        - {name: first, action: map, config: {value: "[6 / n for n in event.items]"}, on_error: handle, out: sink}
        - {name: handle, action: publish, config: {topic: errors, value: "[event.event, results.first, trigger.event]"}}
        """)

    run.run({"items": [0]})

    assert run.data("errors") == [[{"items": [0]}, None, {"items": [0]}]]


def test_a_handler_behind_a_link_gets_its_error_through_the_topic() -> None:
    run = run_of("""
        - {name: first, action: error, config: {message: no}, on_error: handle}
        - {name: handle, action: map, link: topic, config: {value: "event.error.message"}, out: caught}
        - {name: caught, action: publish, config: {topic: errors}}
        """)

    run.run({"a": 1})

    assert run.data("errors") == ["no"]
    assert len(run.read("headrace.flow.handle.link")) == 1


def test_a_failing_handler_follows_its_own_policy() -> None:
    run = run_of("""
        - {name: first, action: error, on_error: handle}
        - {name: handle, action: error, on_error: again, config: {message: second}}
        - {name: again, action: error, config: {message: third}}
        """)

    run.run({"a": 1})

    (letter,) = run.dead_letters
    assert letter.headers["headrace-stage"] == b"again"
    assert letter.headers["headrace-error"] == b"third"


@pytest.mark.parametrize("own", ["", ", on_error: dead_letter"])
def test_failures_of_the_default_handler_itself_become_dead_letters(own: str) -> None:
    run = run_of(
        f"""
        - {{name: first, action: error}}
        - {{name: handle, action: error, config: {{message: second}}{own}}}
        """,
        "defaults: {on_error: handle}",
    )

    run.run({"a": 1})

    assert [one.headers["headrace-stage"] for one in run.dead_letters] == [b"handle"]


def test_skipped_records_are_logged_and_gone(caplog: pytest.LogCaptureFixture) -> None:
    run = run_of(
        "- {name: first, action: filter, config: {where: event.a}, on_error: skip, out: sink}"
    )

    run.run({"b": 1}, {"a": 1})

    assert run.data("out") == [{"a": 1}]
    assert run.dead_letters == []
    assert "stage 'first' skipped in[0]@0: event has no field 'a'; it has b" in caplog.text


def test_fail_stops_the_flow_with_everything_and_commits_nothing() -> None:
    run = run_of(
        "- {name: first, action: filter, config: {where: event.a}, on_error: fail, out: sink}"
    )
    for value in ({"a": 1}, {"b": 1}):
        run.feed(value)

    with pytest.raises(FlowStoppedError) as caught:
        run.drain()

    assert str(caught.value) == (
        "flow 'flow' stopped: stage 'first' failed on in[0]@1: event has no field 'a'; it has b;"
        " mend the flow or the record, or choose another on_error, and start it again"
    )
    run.member.abandon()
    assert run.data("out") == []


@pytest.mark.parametrize("name", ["fail", "refuse"])
def test_what_a_function_says_is_for_the_dead_letter_and_not_for_the_log(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_of(
        f"- {{name: first, action: map, config: {{call: '{__name__}:{name}'}}, out: sink}}"
    )

    run.run({"a": "payload"})

    (letter,) = run.dead_letters
    assert b"cannot take {'a': 'payload'}" in (letter.headers["headrace-error"] or b"")
    assert f"raised by {name} (" in caplog.text
    assert HERE in caplog.text
    assert "payload" not in caplog.text


@pytest.mark.parametrize("name", ["fail_badly", "fail_with_half_a_character", "recurse"])
def test_a_function_may_fail_in_any_way(name: str) -> None:
    run = run_of(
        f"- {{name: first, action: map, config: {{call: '{__name__}:{name}'}}, out: sink}}"
    )

    run.run({"a": 1}, {"a": 2})

    assert len(run.dead_letters) == 2


def test_a_function_that_returns_nothing_makes_null() -> None:
    run = run_of(
        f"- {{name: first, action: map, config: {{call: '{__name__}:nothing'}}, out: sink}}"
    )

    run.run({"a": 1})

    assert [one.value for one in run.read("out")] == [None]


def test_a_dead_letter_that_is_too_large_tells_where_the_record_is() -> None:
    run = run_of(FILTER)
    dead_letters = run.plans[0].dead_letter_topic
    assert dead_letters
    run.broker.admin().delete([dead_letters])
    run.broker.admin().create(
        [NewTopic(name=dead_letters, partitions=1, config={"max.message.bytes": "2000"})]
    )
    run.topics = ensure_topics(run.broker.admin(), run.plans, run.settings)
    run.feed({"b": "x" * 5_000}, key="k", headers=[("mine", b"x")])
    run.feed({"b": "x"}, key="k" * 3_000, headers=[("mine", b"x" * 3_000)])

    run.drain()

    value, everything = run.dead_letters
    assert (value.key, value.value, value.headers["mine"]) == (b"k", None, b"x")
    assert value.headers["headrace-value-omitted"] == b"5008"
    assert (everything.key, everything.value) == (None, None)
    assert "mine" not in everything.headers
    assert everything.headers["headrace-source-offset"] == b"1"


def test_secrets_are_cut_out_of_what_functions_say() -> None:
    run = run_of(
        f"""
        - name: first
          action: map
          config: {{call: "{__name__}:fail_with_others", arguments: {{one: secret.ONE, two: secret.TWO}}}}
          out: sink
        """,
        secrets={"ONE": "pass", "TWO": 'password\n"long'},
    )

    run.run({"a": 1})

    (letter,) = run.dead_letters
    told = letter.headers["headrace-error"] or b""
    assert told.endswith(b": *** and *** and '***'")


def fail_with_others(event: object, one: str, two: str) -> None:
    raise ValueError(f"{one} and {two} and {two!r}")


def test_the_log_says_the_same_of_a_stage_a_few_times_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "headrace.failures")
    run = run_of(FILTER)

    run.run(*[{"b": i} for i in range(50)])
    run.clock.advance(11)
    run.run({"b": 1})

    assert len(caplog.records) == 6
    assert caplog.messages[-1].endswith("(and 45 more like it)")


def test_a_type_error_of_an_expression_is_not_taken_for_one_of_json() -> None:
    run = run_of("- {name: first, action: filter, config: {where: event.a > 1}, out: sink}")

    run.run(None)

    assert (run.dead_letters[0].headers["headrace-error"] or b"").startswith(b"event is null")


def test_an_event_that_json_cannot_hold_is_told_by_its_type() -> None:
    run = run_of("- {name: first, action: map, config: {value: '{event.a}'}, out: sink}")

    run.run({"a": "payload"})

    (letter,) = run.dead_letters
    assert letter.headers["headrace-error"] == (
        b"the event cannot be written as JSON: Type is not JSON serializable: set"
    )
