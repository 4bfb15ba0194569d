"""What generated code computes on one path is not taken for granted on another."""

from tests.unit.running import running

LOG = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: line}
  - {name: line, action: log, config: {message: "${key}", level: debug}, out: keyed}
  - {name: keyed, action: map, config: {set: {k: key}}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def test_the_flow_is_known_to_expressions_whatever_its_name_holds() -> None:
    run = running("""
        name: "a \\"quoted\\" flow"
        version: "2"
        tags: [a]
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: made}
          - {name: made, action: map, config: {value: "[flow.name, flow.version, flow.tags]"}, out: sink}
          - {name: sink, action: publish, config: {topic: out}}
        """)

    run.run({})

    assert run.data("out") == [['a "quoted" flow', "2", ["a"]]]


def test_a_key_that_only_a_disabled_log_line_computed_is_computed_again() -> None:
    run = running(LOG)

    run.run({"a": 1}, key="k")

    assert run.data("out") == [{"a": 1, "k": "k"}]


def test_the_key_is_the_same_before_and_behind_a_link() -> None:
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in, key: event.id}, out: [near, far]}
          - {name: near, action: map, config: {value: key}, out: one}
          - {name: far, action: map, link: topic, config: {value: key}, out: two}
          - {name: one, action: publish, config: {topic: one}}
          - {name: two, action: publish, config: {topic: two}}
        """)

    run.run({"id": 5}, {"id": "a"}, {"id": None}, {"id": [1]})

    assert run.data("one") == run.data("two") == ["5", "a", None, "[1]"]


def test_two_triggers_of_a_flow_on_one_topic_keep_their_keys_and_names_apart() -> None:
    run = running("""
        name: flow
        stages:
          - {name: plain, action: kafka, config: {topics: in}, out: meet}
          - {name: keyed, action: kafka, config: {topics: in, key: event.id}, out: meet}
          - {name: meet, action: map, config: {value: "[trigger.stage, key]"}, out: sink}
          - {name: sink, action: publish, config: {topic: out}}
        """)

    run.run({"id": "new"}, key="old")

    assert sorted(run.data("out")) == [["keyed", "new"], ["plain", "old"]]


def test_headers_of_headrace_are_not_passed_on_by_a_flow_that_reads_dead_letters() -> None:
    run = running(LOG)

    run.run({"a": 1}, key="k", headers=[("headrace-stage", b"x"), ("mine", b"y")])

    assert [one.headers for one in run.read("out")] == [{"mine": b"y"}]
