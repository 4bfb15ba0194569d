from datetime import timedelta

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.flow import Retry, flow, flow_to_yaml, merge, parse_flows


def test_a_flow_made_in_python_equals_its_document() -> None:
    orders = flow("orders", description="big orders", tags=["shop"], version=2, group="shop")
    source = orders.kafka("orders in", topics=["orders"])
    big = source.filter("big", where="event.amount > 100")
    big.map("total", set={"total": "event.amount * 1.2"}).publish("sink", topic="big-orders")

    (from_document,) = parse_flows("""
        name: orders
        description: big orders
        tags: [shop]
        version: 2
        group: shop
        stages:
          - {name: orders in, action: kafka, config: {topics: [orders]}, out: big}
          - {name: big, action: filter, config: {where: event.amount > 100}, out: [total]}
          - {name: total, action: map, config: {set: {total: event.amount * 1.2}}, out: sink}
          - {name: sink, action: publish, config: {topic: big-orders}}
    """)
    assert orders.build() == from_document


def test_policies_are_told_from_fields_by_their_names() -> None:
    orders = flow("orders", defaults={"on_error": "skip"})
    undo = orders.http("undo", url="u")
    pay = orders.kafka("in", topics=["a"]).http(
        "pay",
        url="x",
        config={"timeout": "30s", "from": "y"},
        timeout=timedelta(seconds=5),
        retry=Retry(attempts=2),
        on_error="fail",
        buffer=10,
        compensate=undo,
        link="topic",
    )

    stage = orders.build().stages[2]

    assert pay.name == "pay"
    assert stage.config == {"timeout": "30s", "from": "y", "url": "x"}
    assert stage.timeout == timedelta(seconds=5)
    assert stage.retry == Retry(attempts=2)
    assert (stage.on_error, stage.buffer, stage.compensate, stage.link) == (
        "fail",
        10,
        "undo",
        "topic",
    )


def test_an_action_of_any_name_can_follow() -> None:
    orders = flow("orders")
    orders.stage("in", "my.trigger", {"a": 1}).then("x", "my-action", {"b": 2}, on_error="skip")

    first, second = orders.build().stages

    assert (first.action, first.config, first.out) == ("my.trigger", {"a": 1}, ("x",))
    assert (second.action, second.config, second.on_error) == ("my-action", {"b": 2}, "skip")


def test_triggers_meet_in_a_common_stage() -> None:
    orders = flow("orders")
    left = orders.kafka("left", topics=["a"])
    right = orders.webhook("right", path="/b")
    both = merge(left, right).noop("both")
    orders.schedule("clock", every="1m").to(both)

    built = orders.build()

    assert [stage.out for stage in built.stages] == [("both",), ("both",), (), ("both",)]


def test_sending_twice_to_a_stage_is_sending_once() -> None:
    orders = flow("orders")
    source = orders.kafka("in", topics=["a"])
    source.to(source.log("out"))

    assert orders.build().stages[0].out == ("out",)


def test_a_stage_in_a_configuration_stands_for_its_name() -> None:
    orders = flow("orders")
    sink = orders.publish("sink", topic="a")
    orders.branch("split", routes=[{"when": "true", "to": sink}])

    assert orders.build().stages[1].config == {"routes": [{"when": "true", "to": "sink"}]}


def test_a_configuration_becomes_plain_data() -> None:
    orders = flow("orders")
    given = {"topics": ("a",), "wait": timedelta(seconds=90)}
    orders.kafka("in", config=given)

    built = orders.build()

    assert built.stages[0].config == {"topics": ["a"], "wait": "1m30s"}
    assert given["topics"] == ("a",)


def test_lists_in_a_flow_become_plain_data_too() -> None:
    orders = flow("orders", input={"enum": [("a", timedelta(seconds=1))]})
    orders.kafka("in", fields=[{"wait": timedelta(seconds=1)}])

    built = orders.build()

    assert built.input == {"enum": [["a", "1s"]]}
    assert built.stages[0].config == {"fields": [{"wait": "1s"}]}


def test_a_built_flow_does_not_change_when_the_building_goes_on() -> None:
    orders = flow("orders")
    source = orders.kafka("in", topics=["a"])
    before = orders.build()
    source.log("out")

    assert len(before.stages) == 1
    assert before.stages[0].out == ()


def test_everything_wrong_is_told_when_the_flow_is_built() -> None:
    orders = flow("", input={"a": {1}})
    orders.kafka("in", topics={1: "a"}, call=print, share=float("nan"), timeout="soon")

    with pytest.raises(FlowError) as caught:
        orders.build()

    allowed = "must be text, a number within bounds, true, false, a list or a mapping"
    assert [str(problem) for problem in caught.value.problems] == [
        f"flow '': 'input.a' {allowed}, found set",
        "stage 'in': 'config.topics' must have text for keys, found 1",
        f"stage 'in': 'config.call' {allowed}, found builtin_function_or_method",
        f"stage 'in': 'config.share' {allowed}, found nan",
        "flow: 'name' must not be empty",
        (
            "stage 'in': 'timeout': 'soon' is not a duration; "
            "write it as '500ms', '5s', '1m30s', '2h' or '7d'"
        ),
    ]


def test_a_flow_without_stages_is_not_built() -> None:
    with pytest.raises(FlowError, match="'stages' must hold at least one stage"):
        flow("orders").build()


def test_stages_of_two_flows_are_not_linked() -> None:
    with pytest.raises(FlowError, match="publish to a topic that the other flow reads"):
        flow("a").kafka("in").to(flow("b").kafka("in"))


def test_a_field_that_is_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="'topics' is given both"):
        flow("a").kafka("in", topics=["a"], config={"topics": ["b"]})


def test_a_field_in_place_of_a_policy_is_refused() -> None:
    with pytest.raises(TypeError, match="'topics' is not a policy"):
        flow("a").stage("in", "kafka", topics=["a"])


def test_a_private_attribute_is_no_action() -> None:
    orders = flow("orders")
    handle = orders.kafka("in")

    assert not hasattr(orders, "_repr_html_")
    assert not hasattr(handle, "__array__")
    assert not hasattr(merge(handle), "_ipython_display_")


def test_a_flow_is_written_as_people_would_write_it() -> None:
    orders = flow("orders", enabled=False)
    orders.kafka("in", topics=["a"]).map("m", value="event.a\n+ 1").publish(
        "sink", topic="b", timeout="5s", retry={"attempts": 2, "backoff": ["1s", "2s"]}
    )

    text = flow_to_yaml(orders.build())

    assert text == (
        "name: orders\nenabled: false\nstages:\n"
        "- name: in\n  action: kafka\n  config:\n    topics:\n    - a\n  out: m\n"
        "- name: m\n  action: map\n  config:\n    value: |-\n      event.a\n      + 1\n"
        "  out: sink\n"
        "- name: sink\n  action: publish\n  config:\n    topic: b\n"
        "  retry:\n    attempts: 2\n    backoff:\n    - 1s\n    - 2s\n  timeout: 5s\n"
    )
