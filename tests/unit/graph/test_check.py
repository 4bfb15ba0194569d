"""Everything wrong with a flow is found at once, each with its line."""

from textwrap import dedent

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.flow import Flow, parse_flows
from headrace.runtime.graph import Graph, check_flow, check_flows


def graph_of(text: str) -> Graph:
    (flow,) = parse_flows(dedent(text).lstrip("\n"), "flow.yaml")
    return check_flow(flow)


def problems_of(text: str) -> list[str]:
    with pytest.raises(FlowError) as caught:
        graph_of(text)
    return str(caught.value).splitlines()


def test_all_problems_are_found_at_once_in_the_order_of_the_document() -> None:
    problems = problems_of("""
        name: flow
        stages:
          - name: in
            action: kafka
            config: {topics: in}
            out: [middel, other]
          - name: middle
            action: fliter
            out: end
          - name: middle
            action: noop
          - name: other
            action: map
            config:
              set:
                a: results.xyz.b + 1
              call: nothing
            out: in
          - name: end
            action: publish
            config:
              topic: a b
              partision: 1
          - name: lost
            action: filter
            config:
              where: event.a
            out: around
          - name: around
            action: noop
            out: lost
          - name: alone
            action: noop
        """)

    assert problems == [
        "flow.yaml:6: stage 'in' sends to 'middel', which does not exist; did you mean 'middle'?",
        "flow.yaml:6: stage 'in' is on a cycle: 'in' -> 'other' -> 'in'; a flow must come to an end",
        "flow.yaml:8: stage 'middle' has the unknown action 'fliter'; did you mean 'filter'?",
        "flow.yaml:10: stage 'middle' has the name of stage 2 (flow.yaml:7)",
        "flow.yaml:16: stage 'other': results.xyz: there is no stage 'xyz'",
        "flow.yaml:17: stage 'other' (map): call: 'nothing' is not of the form package.module:function",
        "flow.yaml:18: stage 'other' sends to 'in', which is a trigger; triggers have no inputs",
        "flow.yaml:23: stage 'end' (publish): unknown key 'partision'; did you mean 'partition'?",
        "flow.yaml:28: stage 'lost' is on a cycle: 'lost' -> 'around' -> 'lost'; a flow must come to an end",
        "flow.yaml:32: stage 'alone' is reached by no trigger; name it in the `out` of a stage or remove it",
    ]


def one(stage: str, flow: str = "") -> str:
    return f"name: flow\n{flow}\nstages:\n- {{name: in, action: kafka, config: {{topics: in}}, out: it}}\n- {stage}\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout", "5s"),
        ("retry", "{attempts: 2}"),
        ("breaker", "{failures: 3}"),
        ("rate_limit", "{limit: 5}"),
        ("buffer", "10"),
        ("on_error", "skip"),
        ("on-error", "skip"),
        ("link", "topic"),
        ("out", "[]"),
    ],
)
def test_a_key_of_the_stage_within_its_config_is_told_where_it_belongs(
    key: str, value: str
) -> None:
    problems = problems_of(
        one(f"{{name: it, action: http, config: {{url: 'http://a/b', {key}: {value}}}}}")
    )

    assert [text.partition("stage ")[2] for text in problems] == [
        f"'it' (http): unknown key '{key}': it belongs to the stage, beside 'config'"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: flow\nstages: [{name: a, action: noop}]", "has no trigger; begin with one"),
        (one("{name: it, action: noop, on_error: skipp}"), "did you mean 'skip'?"),
        (one("{name: it, action: noop, on_error: it}"), "a stage cannot receive its own errors"),
        (one("{name: it, action: noop, on_error: in}"), "sends to 'in', which is a trigger"),
        (one("{name: it, action: noop, retry: {attempts: 2}}"), "'retry' is for stages that call"),
        (one("{name: it, action: noop, compensate: it}"), "'compensate' is not carried out"),
        (one("{name: it, action: noop}", "defaults: {on_error: hand}"), "defaults.on_error 'hand'"),
        (one("{name: it, action: filter}"), "needs 'where'"),
        (one("{name: it, action: filter, config: {where: 'event.a >'}}"), "where"),
        (
            one("{name: it, action: filter, config: {where: results.it.a}}"),
            "stage 'it' does not come before 'it'",
        ),
        (
            one("{name: it, action: filter, config: {where: trigger.evnt}}"),
            "'trigger.evnt' is unknown; did you mean 'event'?",
        ),
        (
            one("{name: it, action: filter, config: {where: run}}"),
            "'run' is used as a whole; name one of its fields: run.id",
        ),
        (
            one("{name: it, action: branch, config: {routes: [{when: event.a, to: itt}]}}"),
            "routes to 'itt', which does not exist; did you mean 'it'?",
        ),
        (one("{name: it, action: error, out: it}"), "never forwards a record"),
        (one("{name: it, action: log, config: {message: '${secret.A}'}}"), "secret"),
        (
            one("{name: it, action: noop}").replace("topics: in}", "topics: in}, link: topic"),
            "is a trigger and reads a topic already; remove `link`",
        ),
        (
            one("{name: 'a b', action: noop}\n- {name: a?b, action: noop}"),
            "both become 'a-b' in topic names",
        ),
    ],
)
def test_a_mistake_is_told(text: str, problem: str) -> None:
    assert any(problem in line for line in problems_of(text))


def test_a_later_stage_is_not_a_result_yet() -> None:
    problems = problems_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: first}
          - name: first
            action: filter
            config:
              where: results.second.a
            out: second
          - {name: second, action: noop}
        """)

    assert problems == [
        "flow.yaml:7: stage 'first': results.second: stage 'second' does not come before 'first'"
    ]


def test_a_missing_route_is_told_with_its_line() -> None:
    problems = problems_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: it}
          - name: it
            action: branch
            config:
              routes:
                - when: event.a
                  to: [sink, snik]
              otherwise: nowhere
          - {name: sink, action: noop}
        """)

    assert problems == [
        "flow.yaml:9: stage 'it' routes to 'snik', which does not exist; did you mean 'sink'?",
        "flow.yaml:10: stage 'it' routes to 'nowhere', which does not exist",
    ]


def test_an_error_handler_is_an_edge_of_the_graph() -> None:
    graph = graph_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, on_error: handle, out: a}
          - {name: handle, action: noop}
          - {name: a, action: filter, config: {where: event.a}, out: b}
          - {name: b, action: noop, on_error: handle}
        """)

    assert graph.inputs["handle"] == ("in", "b")
    assert graph.ancestors["handle"] == {"in", "a", "b"}
    assert [node.name for node in graph.nodes] == ["in", "a", "b", "handle"]


def test_an_error_that_goes_back_is_a_cycle() -> None:
    problems = problems_of("""
        name: flow
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: a}
          - {name: a, action: noop, out: b}
          - {name: b, action: noop, on_error: a}
        """)

    assert "is on a cycle: 'a' -> 'b' -> 'a'" in problems[0]


def test_the_default_handler_takes_the_errors_of_all_but_itself_and_what_follows() -> None:
    graph = graph_of("""
        name: flow
        defaults: {on_error: handle}
        stages:
          - {name: in, action: kafka, config: {topics: in}, out: [a, skips]}
          - {name: a, action: noop}
          - {name: skips, action: noop, on_error: skip}
          - {name: handle, action: noop, out: after}
          - {name: after, action: noop}
        """)

    assert {node.name: (node.on_error, node.handler) for node in graph.nodes} == {
        "in": ("handle", "handle"),
        "a": ("handle", "handle"),
        "skips": ("skip", None),
        "handle": ("dead_letter", None),
        "after": ("dead_letter", None),
    }


def test_problems_of_several_flows_come_together() -> None:
    flows = [
        Flow.model_validate({"name": name, "stages": [{"name": "a", "action": "nop"}]})
        for name in ("one", "two")
    ]

    with pytest.raises(FlowError) as caught:
        check_flows(flows)

    assert [str(problem).split("'")[1] for problem in caught.value.problems] == ["one", "two"]


def test_stages_come_in_the_documents_order_where_they_are_free_to() -> None:
    graph = graph_of("""
        name: flow
        stages:
          - {name: c, action: noop}
          - {name: in, action: kafka, config: {topics: in}, out: [a, b, c]}
          - {name: b, action: noop}
          - {name: a, action: noop}
        """)

    assert [node.name for node in graph.nodes] == ["in", "c", "b", "a"]
