"""Stages that call the outside: order, batches, failures, retries in place and deferred, and what a crash leaves."""

from collections import Counter
from textwrap import dedent
from typing import Any

import pytest

from headrace.runtime.contracts.call import Call, CallFailedError
from headrace.runtime.errors import FlowError, RecordError
from tests.unit.outside import outside
from tests.unit.running import NOW_MS, plans_of, running


def flow_with(policies: str = "", config: str = "{ask: event.n}", out: str = "sink") -> str:
    return f"""
    name: flow
    stages:
      - {{name: source, action: kafka, config: {{topics: in}}, out: call}}
      - {{name: call, action: outside, config: {config}, out: {out}, {policies}}}
      - {{name: sink, action: publish, config: {{topic: out}}}}
    """


def doubled(call: Call) -> Any:
    return {**call.event, "twice": call.arguments["ask"] * 2}


def temporary(text: str = "no answer") -> CallFailedError:
    return CallFailedError(text, is_temporary=True)


def test_what_the_outside_answers_goes_on_in_order() -> None:
    with outside(doubled) as action:
        run = running(flow_with(), topics=["in"])
        run.run(*({"n": n} for n in range(250)), key="k")

    assert run.data("out") == [{"n": n, "twice": 2 * n} for n in range(250)]
    assert max(map(len, action.batches)) == 1, "one key is never in a batch twice"


def test_records_of_different_keys_share_batches_up_to_their_size() -> None:
    with outside(doubled) as action:
        run = running(flow_with(config="{ask: event.n, batch_size: 7}"), topics=["in"])
        for n in range(20):
            run.feed({"n": n}, key=f"k{n}")
        run.drain()

    assert [len(batch) for batch in action.batches] == [7, 7, 6]
    assert len(run.data("out")) == 20


def test_records_keep_their_key_time_headers_and_their_run() -> None:
    with outside(doubled) as action:
        run = running(flow_with(), topics=["in"])
        run.run({"n": 1}, key="k", headers=[("h", b"v")], timestamp=NOW_MS - 5)

    (written,) = run.read("out")
    assert (written.key, written.timestamp, written.headers["h"]) == (b"k", NOW_MS - 5, b"v")
    assert action.batches[0][0].id == "in-0-0/call"


def test_an_expression_that_fails_is_explained_and_nothing_is_called() -> None:
    with outside(doubled) as action:
        run = running(flow_with(), topics=["in"])
        run.run({"m": 1}, {"n": 2}, key="k")

    (letter,) = run.dead_letters
    assert letter.headers["headrace-error"] == b"event has no field 'n'; it has m"
    assert [call.event for batch in action.batches for call in batch] == [{"n": 2}]


def test_a_failure_that_is_not_temporary_goes_to_the_dead_letters_at_once() -> None:
    def refused(call: Call) -> Any:
        raise CallFailedError("the target says no", status=404)

    with outside(refused) as action:
        run = running(flow_with(), topics=["in"])
        run.run({"n": 1}, key="k")

    (letter,) = run.dead_letters
    assert letter.headers["headrace-error"] == b"the target says no"
    assert letter.headers["headrace-stage"] == b"call"
    assert len(action.batches) == 1


def test_a_temporary_failure_is_tried_again_in_place() -> None:
    tries = Counter[int]()

    def third_time(call: Call) -> Any:
        tries[call.event["n"]] += 1
        if tries[call.event["n"]] < 3:
            raise temporary()
        return call.event

    with outside(third_time):
        run = running(flow_with("retry: {attempts: 3, backoff: 1s}"), topics=["in"])
        run.run({"n": 1}, {"n": 2}, key="k")

    assert run.data("out") == [{"n": 1}, {"n": 2}]
    assert tries == {1: 3, 2: 3}


def test_attempts_are_bounded_and_told() -> None:
    def never(call: Call) -> Any:
        raise temporary("no answer from the target")

    with outside(never) as action:
        run = running(flow_with("retry: {attempts: 4, backoff: 10ms}"), topics=["in"])
        run.run({"n": 1}, key="k")

    (letter,) = run.dead_letters
    assert b"(after 4 attempts)" in (letter.headers["headrace-error"] or b"")
    assert len(action.batches) == 4


def test_retry_if_decides_what_is_tried_again() -> None:
    def failing(call: Call) -> Any:
        raise CallFailedError("bad gateway", status=call.event["status"])

    policy = "retry: {attempts: 3, backoff: 10ms, retry_if: error.status >= 500}"
    with outside(failing) as action:
        run = running(flow_with(policy, config="{}"), topics=["in"])
        run.run({"status": 400}, {"status": 502}, key="k")

    assert len(run.dead_letters) == 2
    assert len(action.batches) == 1 + 3


def test_a_deferred_retry_lets_other_keys_go_on_and_keeps_its_own_in_order() -> None:
    tries = Counter[int]()

    def slow_start(call: Call) -> Any:
        tries[call.event["n"]] += 1
        if call.event["n"] == 0 and tries[0] < 3:
            raise temporary()
        return call.event

    policy = "retry: {attempts: 5, backoff: 1m}"
    with outside(slow_start):
        run = running(flow_with(policy), topics=["in"])
        run.run({"n": 0}, {"n": 1}, key="slow")
        run.run({"n": 2}, {"n": 3}, key="other")
        before = run.data("out")
        run.run({"n": 4}, key="slow")
        for _ in range(3):
            run.clock.advance(60)
            run.drain()

    assert before == [{"n": 2}, {"n": 3}]
    assert run.data("out") == [{"n": n} for n in (2, 3, 0, 1, 4)]
    assert tries[0] == 3


def test_what_waits_survives_its_member() -> None:
    is_well = False

    def later(call: Call) -> Any:
        if not is_well:
            raise temporary()
        return {**call.event, "id": call.id}

    with outside(later):
        run = running(flow_with("retry: {attempts: 9, backoff: 1m}"), topics=["in"])
        run.run({"n": 0}, {"n": 1}, key="k")
        run.member.abandon()
        run._member = None
        is_well = True
        run.clock.advance(120)
        run.drain()
        run.clock.advance(1)
        run.drain()

    assert run.data("out") == [{"n": 0, "id": "in-0-0/call"}, {"n": 1, "id": "in-0-1/call"}]


def test_an_open_circuit_calls_nothing_and_a_probe_closes_it() -> None:
    is_well = False
    asked = 0

    def answer(call: Call) -> Any:
        nonlocal asked
        asked += 1
        if not is_well:
            raise temporary()
        return call.event

    policy = "retry: {attempts: 50, backoff: 10ms}, breaker: {failures: 3, pause: 30s}"
    with outside(answer):
        run = running(flow_with(policy), topics=["in"])
        for n in range(20):
            run.feed({"n": n}, key=f"k{n}")
        run.drain()
        while_open = asked
        run.run({"n": 20}, key="k20")
        still_open = asked
        is_well = True
        for _ in range(40):
            run.clock.advance(30)
            run.drain()

    assert while_open <= 40
    assert still_open == while_open
    assert sorted(one["n"] for one in run.data("out")) == list(range(21))
    assert run.dead_letters == []


def test_what_opens_a_circuit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def answer(call: Call) -> Any:
        raise temporary("the password is refused")

    policy = "retry: {attempts: 9, backoff: 1m}, breaker: {failures: 1, pause: 1h}"
    with outside(answer):
        run = running(flow_with(policy), topics=["in"])
        run.run({"n": 0})

    assert "stage 'call': the circuit is open now: the password is refused" in caplog.text


def test_circuits_are_kept_per_target() -> None:
    def answer(call: Call) -> Any:
        if call.arguments["to"] == "down":
            raise temporary()
        return call.event

    policy = "retry: {attempts: 9, backoff: 1m}, breaker: {failures: 1, pause: 1h}"
    with outside(answer):
        run = running(flow_with(policy, config="{to: event.to}"), topics=["in"])
        for n, to in enumerate(["down", "up", "down", "up"]):
            run.feed({"n": n, "to": to}, key=f"k{n}")
        run.drain()

    assert [one["n"] for one in run.data("out")] == [1, 3]


def test_an_error_goes_to_the_stage_that_handles_it() -> None:
    def refused(call: Call) -> Any:
        raise RecordError("not this one")

    with outside(refused):
        run = running(
            """
            name: flow
            stages:
              - {name: source, action: kafka, config: {topics: in}, out: call}
              - {name: call, action: outside, on_error: errors}
              - {name: errors, action: publish, config: {topic: errors}}
            """,
            topics=["in"],
        )
        run.run({"n": 1}, key="k")

    (error,) = run.data("errors")
    assert error["event"] == {"n": 1}
    assert error["error"]["stage"] == "call"


def test_results_of_earlier_stages_cross_a_call() -> None:
    with outside(lambda call: {"answer": 1}):
        run = running(
            """
            name: flow
            stages:
              - {name: source, action: kafka, config: {topics: in}, out: first}
              - {name: first, action: map, config: {set: {a: event.n + 1}}, out: call}
              - {name: call, action: outside, out: last}
              - {name: last, action: map, config: {set: {a: results.first.a, run: run.id, was: trigger.event.n}}, out: sink}
              - {name: sink, action: publish, config: {topic: out}}
            """,
            topics=["in"],
        )
        run.run({"n": 1}, key="k")

    assert run.data("out") == [{"answer": 1, "a": 2, "run": "in-0-0", "was": 1}]


def test_a_window_behind_a_call_counts_every_record() -> None:
    tries = Counter[int]()

    def second_time(call: Call) -> Any:
        tries[call.event["n"]] += 1
        if call.event["n"] % 3 == 0 and tries[call.event["n"]] < 2:
            raise temporary()
        return call.event

    with outside(second_time):
        run = running(
            """
            name: flow
            stages:
              - {name: source, action: kafka, config: {topics: in}, out: call}
              - {name: call, action: outside, retry: {attempts: 3, backoff: 10ms}, out: minutes}
              - {name: minutes, action: reduce, out: sink,
                 config: {window: {tumbling: 1m}, aggregate: {n: count()}, emit: final}}
              - {name: sink, action: publish, config: {topic: out}}
            """,
            topics=["in"],
        )
        begin = NOW_MS - NOW_MS % 60_000
        for n in range(30):
            run.feed({"n": n}, key="k", timestamp=begin + n * 10_000)
        run.drain()

    assert [one["n"] for one in run.data("out")] == [6, 6, 6, 6]


def test_a_commit_that_fails_calls_again_and_doubles_nothing() -> None:
    with outside(doubled) as action:
        run = running(flow_with(), topics=["in"])
        run.run({"n": 0}, key="k")
        run.feed({"n": 1}, key="k")
        run.broker.faults.fail_next_commit()
        run.drain()

    assert [one["n"] for one in run.data("out")] == [0, 1]
    assert [call.id for batch in action.batches for call in batch][-2:] == ["in-0-1/call"] * 2


def test_a_stage_is_prepared_once_for_all_of_its_partitions() -> None:
    with outside(doubled) as action:
        run = running(flow_with(), topics=["in"], partitions=4)
        for partition in range(4):
            run.feed({"n": partition}, partition=partition)
        run.drain()

    assert len(run.data("out")) == 4
    assert action.prepared == 1


def test_settings_are_told_once_with_their_secrets() -> None:
    with outside(lambda call: call.event) as action:
        text = flow_with(config="{password: 'x${secret.PASSWORD}'}")
        run = running(text, topics=["in"], secrets={"PASSWORD": "hush"})
        run.run({"n": 0})

    assert action.opened[0].settings == {"password": "xhush"}


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        ("timeout: 10m", "timeout: must not be longer than 2m, found 10m"),
        ("retry: {retry_if: errr.status}", "retry.retry_if: "),
    ],
)
def test_a_policy_that_cannot_hold_is_told(policies: str, problem: str) -> None:
    with outside(doubled), pytest.raises(FlowError) as told:
        plans_of(flow_with(policies))

    assert problem in str(told.value)


def test_a_policy_of_calls_is_refused_where_nothing_is_called() -> None:
    text = """
    name: flow
    stages:
      - {name: source, action: kafka, config: {topics: in}, out: sink}
      - {name: sink, action: publish, config: {topic: out}, retry: {attempts: 3}}
    """
    with pytest.raises(FlowError) as told:
        plans_of(text)

    assert "'retry' is for stages that call something outside" in str(told.value)


def ids_of(stages: str, *values: Any, **given: Any) -> list[str]:
    """The idempotency keys of what `values` lead to, each read by itself."""
    head = "name: flow\nstages:\n- {name: in, action: kafka, config: {topics: in}, out: first}\n"
    with outside(doubled) as action:
        run = running(head + dedent(stages), topics=["in"])
        run.run(*values, **given)
        for _ in range(3):  # what crosses topics, or waits
            run.clock.advance(60)
            run.drain()
    return [call.id for batch in action.batches for call in batch]


def test_calls_of_one_run_behind_a_topic_have_keys_of_their_own_whenever_they_come() -> None:
    found = ids_of(
        """\
        - {name: first, action: split, config: {items: event.lines}, out: second}
        - {name: second, action: throttle, config: {rate: 1, per: 50s, over: delay, key: event.lines.to}, out: call}
        - {name: call, action: outside, config: {ask: event.lines.n}}
        """,
        {"lines": [{"n": 1, "to": "a"}, {"n": 2, "to": "a"}, {"n": 3, "to": "a"}]},
    )

    assert len(set(found)) == 3
    assert all(one.startswith("in-0-0/call/") for one in found)


def test_calls_in_a_row_have_keys_that_no_answer_changes() -> None:
    found = ids_of(
        """\
        - {name: first, action: outside, config: {ask: event.n}, out: second}
        - {name: second, action: outside, link: topic, config: {ask: event.n}}
        """,
        {"n": 1},
    )

    assert found == ["in-0-0/first", "in-0-0/second"]


def test_what_a_record_is_split_into_is_told_apart_by_its_place() -> None:
    found = ids_of(
        """\
        - {name: first, action: split, config: {items: event.lines}, out: call}
        - {name: call, action: outside, config: {ask: event.lines}}
        """,
        {"lines": [1, 1]},
        {"lines": [1]},
    )

    assert found == ["in-0-0/call", "in-0-0/call/1", "in-0-1/call"]
