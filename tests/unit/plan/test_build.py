"""What a flow compiles to."""

from textwrap import dedent

import pytest

from headrace import flow
from headrace.runtime.graph import check_flow
from headrace.runtime.plan import Plan, build_plan
from tests.unit.running import plans_of

LINKED = """
name: my flow
stages:
  - {name: in, action: kafka, config: {topics: [a, b]}, out: first}
  - {name: first, action: map, config: {set: {x: "1"}}, out: [near, far]}
  - {name: near, action: publish, config: {topic: near}, on_error: skip}
  - {name: far, action: filter, link: topic, config: {where: results.first.x == 1}, out: farther}
  - {name: farther, action: map, link: topic, config: {value: "[trigger.event, results.far]"}, out: sink}
  - {name: sink, action: publish, config: {topic: "out-${key}"}, on_error: fail}
"""


def plan_of(text: str) -> Plan:
    (plan,) = plans_of(dedent(text))
    return plan


def test_a_topic_appears_only_where_a_stage_asks_for_it() -> None:
    plan = plan_of(LINKED)

    assert [sub.stages for sub in plan.sub_topologies] == [
        ("in", "first", "near"),
        ("far",),
        ("farther", "sink"),
    ]
    assert [[source.text for source in sub.sources] for sub in plan.sub_topologies] == [
        ["a, b"],
        ["headrace.my-flow.far.link"],
        ["headrace.my-flow.farther.link"],
    ]
    assert [sub.sinks for sub in plan.sub_topologies] == [
        ("headrace.my-flow.far.link", "near"),
        ("headrace.my-flow.farther.link",),
        ("out-${key}",),
    ]


def test_every_topic_has_its_role_and_reason() -> None:
    topics = plan_of(LINKED).topics

    assert [(topic.name, topic.role, topic.stages) for topic in topics] == [
        ("a", "source", ("in",)),
        ("b", "source", ("in",)),
        ("headrace.my-flow.far.link", "link", ("far",)),
        ("headrace.my-flow.farther.link", "link", ("farther",)),
        ("near", "sink", ("near",)),
        (None, "sink", ("sink",)),
        ("headrace.my-flow.dead-letters", "dead_letter", ("in", "first", "far", "farther")),
    ]
    assert all(topic.reason for topic in topics)


def test_only_what_later_stages_mention_crosses_a_topic() -> None:
    assert plan_of(LINKED).crossing == {
        "far": ("results.first", "trigger.event"),
        "farther": ("results.far", "trigger.event"),
    }


def test_there_is_no_dead_letter_topic_where_nothing_goes_there() -> None:
    plan = plan_of("""
        name: flow
        defaults: {on_error: skip}
        stages:
          - {name: in, action: kafka, config: {topics: a}}
        """)

    assert plan.dead_letter_topic is None
    assert [topic.role for topic in plan.topics] == ["source"]


def test_triggers_that_meet_share_a_sub_topology_and_others_do_not() -> None:
    plan = plan_of("""
        name: flow
        stages:
          - {name: one, action: kafka, config: {topics: a}, out: meet}
          - {name: two, action: kafka, config: {pattern: "b.*"}, out: meet}
          - {name: three, action: kafka, config: {topics: c}, out: alone}
          - {name: meet, action: noop}
          - {name: alone, action: noop}
        """)

    assert [sub.stages for sub in plan.sub_topologies] == [
        ("one", "two", "meet"),
        ("three", "alone"),
    ]
    assert [source.text for source in plan.sub_topologies[0].sources] == ["a", "~ b.*"]


def test_an_error_handler_runs_in_the_task_of_the_stages_that_fail() -> None:
    plan = plan_of("""
        name: flow
        defaults: {on_error: handle}
        stages:
          - {name: in, action: kafka, config: {topics: a}, out: far}
          - {name: far, action: noop, link: topic}
          - {name: handle, action: noop}
        """)

    assert [sub.stages for sub in plan.sub_topologies] == [("in", "far", "handle")]


@pytest.mark.parametrize("prefix", ["headrace", "other"])
def test_the_same_flow_has_the_same_plan(prefix: str) -> None:
    first, second = (build_plan(plan_of(LINKED).graph, prefix) for _ in range(2))

    assert first == second
    assert first.group == f"{prefix}.my-flow"


def test_a_flow_made_in_python_has_the_plan_of_its_yaml() -> None:
    made = flow("my flow")
    first = made.kafka("in", topics=["a", "b"]).map("first", set={"x": "1"})
    first.publish("near", topic="near", on_error="skip")
    far = first.filter("far", where="results.first.x == 1", link="topic")
    farther = far.map("farther", value="[trigger.event, results.far]", link="topic")
    farther.publish("sink", topic="out-${key}", on_error="fail")
    written = plan_of(LINKED.replace("out: first}", "out: [first]}"))

    plan = build_plan(check_flow(made.build()))

    assert plan == written
    assert plan != plan_of(LINKED.replace("== 1", "== 2"))


def test_a_flow_that_reads_what_it_writes_is_warned_about() -> None:
    (warning,) = plan_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: a}, out: sink}
          - {name: sink, action: publish, config: {topic: a}}
        """).warnings

    assert "a record may go round for ever" in warning


def test_a_pattern_that_matches_what_the_flow_writes_is_warned_about() -> None:
    warnings = plan_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {pattern: ".*"}, out: sink}
          - {name: sink, action: publish, config: {topic: a}}
        """).warnings

    assert [warning.split("'")[3] for warning in warnings] == ["a", "headrace.flow.dead-letters"]
