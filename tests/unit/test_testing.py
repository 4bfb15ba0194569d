from pathlib import Path

import pytest

from headrace import flow, parse_flows
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import ClosedError, FlowError, FlowStoppedError, SettingsError
from headrace.testing import DeadLetter, FlowTest, ManualClock, TestRecord

TOTALS = """
name: totals
stages:
  - {name: source, action: kafka, config: {topics: in}, out: big}
  - {name: big, action: filter, config: {where: event.amount > 100}, out: total}
  - {name: total, action: map, config: {set: {total: event.amount * 2}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
COPY = """
name: copy
stages:
  - {name: source, action: kafka, config: {topics: in}, out: sink}
  - {name: sink, action: publish, config: {topic: out, headers: {h: "${env.REGION} ${secret.TOKEN}"}}}
"""
LINKED = """
name: linked
stages:
  - {name: source, action: kafka, config: {topics: in}, out: far}
  - {name: far, link: topic, action: noop, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def totals(**given: object) -> FlowTest:
    return FlowTest(parse_flows(TOTALS), **given)  # type: ignore[arg-type] # the tests know them


def linked(**given: object) -> FlowTest:
    return FlowTest(parse_flows(LINKED), **given)  # type: ignore[arg-type] # the tests know them


def values(records: list[TestRecord]) -> list[object]:
    return [record.value for record in records]


# ---- records in and out


def test_a_record_goes_through_the_flow() -> None:
    with totals() as test:
        test.send("in", {"amount": 200}, key="a", headers={"h": "v"}, timestamp=5000)
        test.run()
        records = test.received("out")

    assert records == [
        TestRecord(
            topic="out",
            partition=0,
            offset=0,
            key="a",
            value={"amount": 200, "total": 400},
            raw=b'{"amount":200,"total":400}',
            timestamp=5000,
            headers={"h": "v"},
        )
    ]


def test_nothing_happens_before_run() -> None:
    with totals() as test:
        test.send("in", {"amount": 200})

        assert test.received("out") == []


def test_received_tells_only_what_is_new() -> None:
    with totals() as test:
        test.send("in", {"amount": 200})
        test.run()
        first = test.received("out")
        test.send("in", {"amount": 300})
        test.run()
        second = test.received("out")

    assert values(first) == [{"amount": 200, "total": 400}]
    assert values(second) == [{"amount": 300, "total": 600}]


def test_bytes_text_and_tombstones_are_sent_as_they_are() -> None:
    with linked() as test:
        for value in (b'{"a": 1}', '{"b": 2}', None, [1]):
            test.send("in", value)
        test.run()
        records = test.received("out")

    assert [record.raw for record in records] == [b'{"a": 1}', b'{"b": 2}', None, b"[1]"]


def test_keys_that_are_no_text_are_sent_as_json() -> None:
    with linked() as test:
        test.send("in", 1, key={"id": 1})
        test.send("in", 1, key=b"\xff")
        test.run()

        assert [record.key for record in test.received("out")] == ['{"id":1}', b"\xff"]


def test_a_dead_letter_tells_its_stage_error_and_source() -> None:
    with totals() as test:
        test.send("in", {"amount": 1})
        test.send("in", {"amont": 1}, key="a", headers={"h": "v"})
        test.run()
        (letter,) = test.dead_letters("totals")
        again = test.dead_letters()

    assert isinstance(letter, DeadLetter)
    assert (letter.flow, letter.stage, letter.action) == ("totals", "big", "filter")
    assert "event has no field 'amount'" in letter.error
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("in", 0, 1)
    assert letter.run == "in-0-1"
    assert (letter.key, letter.value, letter.headers) == ("a", {"amont": 1}, {"h": "v"})
    assert again == []


def test_topics_have_one_partition_unless_told_otherwise() -> None:
    with linked(topics={"in": 3}) as test:
        for partition in (2, 0, 2):
            test.send("in", partition, partition=partition)
        test.send("in", 7, key="a")
        test.run()
        records = test.received("in")
        outputs = test.received("out")

    assert [(r.partition, r.value) for r in records if r.key is None] == [(0, 0), (2, 2), (2, 2)]
    assert len(outputs) == 4


def test_topics_that_expressions_name_appear_while_the_flow_runs() -> None:
    source = flow("routes")
    source.kafka("source", topics=["in"]).publish("sink", topic="out-${event.kind}")
    with FlowTest(source.build()) as test:
        before = test.topics
        test.send("in", {"kind": "a"})
        test.run()

        assert set(test.topics) - set(before) == {"out-a"}
        assert values(test.received("out-a")) == [{"kind": "a"}]


def test_records_are_told_once_though_topics_appear_meanwhile() -> None:
    source = flow("routes")
    source.kafka("source", topics=["in"]).publish("sink", topic="out-${event}")
    with FlowTest(source.build()) as test:
        test.send("in", [1, 2])
        test.send("in", "7")
        test.run()
        first = test.received("out-7")
        test.send("in", "8")
        test.run()

        assert values(first) == [7]
        assert values(test.received("out-7")) == []
        assert values(test.received("out-8")) == [8]


def test_flows_may_be_paths(tmp_path: Path) -> None:
    path = tmp_path / "totals.yaml"
    path.write_text(TOTALS)
    with FlowTest(path) as test:
        test.send("in", {"amount": 200})
        test.run()

        assert len(test.received("out")) == 1


def test_environment_and_secrets_are_those_of_the_test() -> None:
    with FlowTest(parse_flows(COPY), env={"REGION": "eu"}, secrets={"TOKEN": "t0k"}) as test:
        test.send("in", 1)
        test.run()

        assert test.received("out")[0].headers == {"h": "eu t0k"}


def test_a_value_that_the_test_does_not_give_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "of the machine")

    with (
        pytest.raises(SettingsError, match=r"env.REGION is not given to the test; add it to `env`"),
        FlowTest(parse_flows(COPY)),
    ):
        pass


# ---- time


def test_the_clock_moves_only_when_told() -> None:
    clock = ManualClock(1000)
    with linked(clock=clock) as test:
        test.send("in", 1)
        test.run()
        test.advance("5m")
        test.send("in", 2)
        test.run()
        records = test.received("out")

    assert [record.timestamp for record in records] == [1000, 301_000]
    assert clock.now_ms() == 301_000


def test_advance_first_finishes_what_is_left_to_do() -> None:
    source = flow("stamped")
    source.kafka("source", topics=["in"]).publish("sink", topic="out", timestamp="now")
    with FlowTest(source.build(), clock=ManualClock(1000)) as test:
        test.send("in", 1)
        test.advance("1s")

        assert [record.timestamp for record in test.received("out")] == [1000]


def test_records_of_any_age_may_be_sent() -> None:
    with linked() as test:
        test.send("in", 1, timestamp=1)
        test.run()

        assert [record.timestamp for record in test.received("out")] == [1]


def test_a_long_time_between_records_expels_nobody() -> None:
    with linked() as test:
        for value in range(3):
            test.send("in", value)
            test.run()
            test.advance("7d")
        records = test.received("out")

    assert values(records) == [0, 1, 2]


# ---- faults


def test_a_failing_commit_is_tried_again_after_a_pause_on_the_manual_clock() -> None:
    with linked(clock=ManualClock(1000)) as test:
        test.send("in", 1)
        test.faults.fail_next_commit()
        test.run()

        assert values(test.received("out")) == [1]
        assert test.clock.now_ms() > 1000


def test_what_was_not_committed_is_not_received() -> None:
    with totals() as test:
        test.send("in", {"amount": 200})
        test.run(commit=False)

        assert test.received("out") == []


def test_a_worker_killed_before_its_commit_loses_and_doubles_nothing() -> None:
    with totals() as test:
        test.send("in", {"amount": 200})
        test.run(commit=False)
        test.restart()
        killed = test.received("out")
        test.run()

        assert killed == []
        assert values(test.received("out")) == [{"amount": 200, "total": 400}]


def test_a_worker_started_again_goes_on_where_it_was() -> None:
    with linked() as test:
        test.send("in", 1)
        test.run()
        test.restart()
        test.send("in", 2)
        test.run()

        assert values(test.received("out")) == [1, 2]


def test_losing_a_partition_loses_and_doubles_nothing() -> None:
    with linked() as test:
        test.send("in", 1)
        test.run(commit=False)
        test.faults.lose(TopicPartition("in", 0))
        test.run()

        assert values(test.received("out")) == [1]


def test_a_fenced_producer_loses_and_doubles_nothing() -> None:
    with linked() as test:
        test.send("in", 1)
        test.run(commit=False)
        test.faults.fence("headrace.linked.test")
        test.run()

        assert values(test.received("out")) == [1]


def test_a_flow_that_stops_tells_so_and_goes_on_after_a_restart() -> None:
    source = flow("strict")
    source.kafka("source", topics=["in"]).map(
        "total", set={"total": "event.n * 2"}, on_error="fail"
    ).publish("sink", topic="out")
    with FlowTest(source.build()) as test:
        test.send("in", {})
        with pytest.raises(FlowStoppedError, match="stage 'total' failed"):
            test.run()
        test.run()
        test.restart()
        with pytest.raises(FlowStoppedError, match="stage 'total' failed"):
            test.run()

        assert test.received("out") == []


# ---- coverage


def test_coverage_tells_what_was_not_reached() -> None:
    with totals() as test:
        nothing = test.coverage
        test.send("in", {"amount": 1})
        test.run()
        some = test.coverage
        test.send("in", {"amount": 200})
        test.run()
        everything = test.coverage

    assert nothing.percent == 0
    assert some.gaps == (
        "filter 'big' never passed a record",
        "stage 'total' never reached",
        "stage 'sink' never reached",
    )
    assert everything.percent == 100


# ---- mistakes


def test_a_topic_that_no_flow_reads_is_refused_with_a_suggestion() -> None:
    with totals() as test:
        with pytest.raises(SettingsError, match=r"no flow reads topic 'inn'; did you mean 'in'\?"):
            test.send("inn", 1)
        with pytest.raises(SettingsError, match=r"topic 'outt' does not exist; did you mean 'out'"):
            test.received("outt")
        with pytest.raises(SettingsError, match=r"flow 'total' is not in this test; did you mean"):
            test.dead_letters("total")


def test_a_partition_that_is_not_there_is_refused() -> None:
    with totals() as test, pytest.raises(SettingsError, match="no partition 3"):
        test.send("in", 1, partition=3)


def test_a_flow_with_mistakes_tells_all_of_them() -> None:
    wrong = parse_flows(
        TOTALS.replace("event.amount *", "evnt.amount *").replace("publish", "pblish")
    )

    with pytest.raises(FlowError) as caught, FlowTest(wrong):
        pass

    assert len(caught.value.problems) == 2


def test_a_pattern_that_client_and_brokers_read_differently_is_refused() -> None:
    source = flow("patterns")
    source.kafka("source", pattern=r"(?:a|b)-\d+").publish("sink", topic="out")

    with pytest.raises(FlowError) as caught, FlowTest(source.build()):
        pass

    assert [text.partition("pattern: ")[2].split()[0] for _, text in caught.value.problems] == [
        "'(?'",
        "'\\d'",
    ]


def test_a_flow_that_feeds_itself_does_not_run_for_ever() -> None:
    source = flow("circle")
    source.kafka("source", topics=["in"]).publish("sink", topic="in")
    with FlowTest(source.build()) as test:
        test.send("in", 1)
        with pytest.raises(Exception, match="did not come to rest"):
            test.run()


def test_a_test_is_used_inside_of_with_and_once() -> None:
    test = totals()
    with pytest.raises(ClosedError, match="use `with FlowTest"):
        test.send("in", 1)
    with test:
        pass
    with pytest.raises(ClosedError, match="the test is over"):
        test.run()
    with pytest.raises(ClosedError, match="make a new FlowTest"), test:
        pass
