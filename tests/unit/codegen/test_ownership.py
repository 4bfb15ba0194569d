"""A stage that changes an event in place changes it for nobody else."""

import pytest

from tests.unit.running import running

TRIGGER = "{name: in, action: kafka, config: {topics: in}, out: %s}"


def append(event: dict[str, list[int]], **others: list[int]) -> dict[str, list[int]]:
    """A user's function that changes its arguments."""
    event["items"].append(99)
    for other in others.values():
        other.append(98)
    return event


def append_and_fail(event: dict[str, list[int]]) -> None:
    """A user's function that changes its argument and fails."""
    event["items"].append(99)
    raise ValueError("no")


APPEND = f"{__name__}:append"
FAIL = f"{__name__}:append_and_fail"


def test_an_event_set_in_place_is_not_seen_by_a_sibling() -> None:
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: [change, sink]}
          - {name: change, action: map, config: {set: {a: "2"}}, out: other}
          - {name: other, action: publish, config: {topic: changed}}
          - {name: sink, action: publish, config: {topic: out, value: event}}
        """)

    run.run({"a": 1})

    assert run.data("out") == [{"a": 1}]
    assert run.data("changed") == [{"a": 2}]


def test_an_event_set_in_place_is_not_seen_through_an_earlier_result_or_the_trigger() -> None:
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: merge}
          - {name: merge, action: merge_data, config: {data: {b: 1}}, out: change}
          - {name: change, action: map, config: {set: {a: "2", b: "3"}}, out: again}
          - {name: again, action: map, config: {set: {c: "4"}}, out: sink}
          - {name: sink, action: publish, config: {topic: out, value: "[trigger.event, results.merge, results.change, event]"}}
        """)

    run.run({"a": 1})

    assert run.data("out") == [
        [{"a": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3, "c": 4}]
    ]


def test_a_field_may_be_set_to_the_event_itself() -> None:
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: change}
          - {name: change, action: map, config: {set: {a: event, b: "[event]"}}, out: sink}
          - {name: sink, action: publish, config: {topic: out}}
        """)

    run.run({"c": 1})

    assert run.data("out") == [{"c": 1, "a": {"c": 1}, "b": [{"c": 1}]}]


@pytest.mark.parametrize(
    "value",
    [
        '{"x": results.first}.x',
        '{"x": results.first}["x"]',
        '{"x": 1} if event.a == 5 else results.first',
        'get({"x": results.first}, "x")',
    ],
)
def test_a_value_that_begins_with_a_brace_may_still_be_an_earlier_result(value: str) -> None:
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: first}}
          - {{name: first, action: merge_data, config: {{data: {{b: 1}}}}, out: made}}
          - {{name: made, action: map, config: {{value: '{value}'}}, out: change}}
          - {{name: change, action: map, config: {{set: {{c: "4"}}}}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out, value: results.first}}}}
        """)

    run.run({"a": 1})

    assert run.data("out") == [{"a": 1, "b": 1}]


def test_flows_of_one_group_do_not_see_each_others_changes() -> None:
    flow = """
        name: flow {0}
        group: both
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: change}}
          - {{name: change, action: map, config: {{set: {{"{0}": "1"}}}}, out: call}}
          - {{name: call, action: map, config: {{call: "{1}"}}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: "out-{0}"}}}}
        """
    run = running(flow.format("a", APPEND), flow.format("b", APPEND))

    run.run({"items": []})

    assert run.data("out-a") == [{"items": [99], "a": 1}]
    assert run.data("out-b") == [{"items": [99], "b": 1}]


def test_a_function_that_changes_its_argument_changes_no_sibling_and_no_earlier_result() -> None:
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: merge}}
          - {{name: merge, action: merge_data, config: {{data: {{b: 1}}}}, out: [call, sibling]}}
          - {{name: call, action: map, config: {{call: "{APPEND}"}}, out: sink}}
          - {{name: sibling, action: publish, config: {{topic: sibling}}}}
          - {{name: sink, action: publish, config: {{topic: out, value: "[results.merge, trigger.event, event]"}}}}
        """)

    run.run({"items": [1]})

    assert run.data("sibling") == [{"items": [1], "b": 1}]
    assert run.data("out") == [[{"items": [1], "b": 1}, {"items": [1]}, {"items": [1, 99], "b": 1}]]


def test_a_function_that_changes_another_argument_changes_no_earlier_result() -> None:
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: merge}}
          - {{name: merge, action: merge_data, config: {{data: {{b: 1}}}}, out: call}}
          - {{name: call, action: map, config: {{call: "{APPEND}", arguments: {{more: results.merge.items}}}}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out, value: "results.merge"}}}}
        """)

    run.run({"items": [1]})

    assert run.data("out") == [{"items": [1], "b": 1}]


def test_an_error_handler_gets_the_event_as_the_failing_function_got_it() -> None:
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: call}}
          - {{name: call, action: map, config: {{call: "{FAIL}"}}, on_error: handle, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out}}}}
          - {{name: handle, action: publish, config: {{topic: errors, value: event.event}}}}
        """)

    run.run({"items": [1]})

    assert run.data("errors") == [{"items": [1]}]


def test_items_that_are_one_object_are_changed_apart() -> None:
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: each}}
          - {{name: each, action: map, config: {{each: "[event, event]", call: "{APPEND}"}}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out}}}}
        """)

    run.run({"items": []})

    assert run.data("out") == [{"items": [99]}, {"items": [99]}]


def test_an_unchanged_record_keeps_its_bytes_and_a_changed_one_does_not() -> None:
    run = running("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: [same, change]}
          - {name: same, action: filter, config: {where: event.a == 1}, out: raw}
          - {name: raw, action: publish, config: {topic: raw}}
          - {name: change, action: map, config: {set: {a: event.a}}, out: sink}
          - {name: sink, action: publish, config: {topic: out}}
        """)

    run.run(b'{"a" :  1}')

    assert [one.value for one in run.read("raw")] == [b'{"a" :  1}']
    assert [one.value for one in run.read("out")] == [b'{"a":1}']
