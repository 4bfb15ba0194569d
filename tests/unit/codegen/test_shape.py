"""Flows of any shape become code that Python accepts, of a size that grows with the flow."""

from collections.abc import Mapping

import pytest

from headrace.runtime.codegen import modules_of
from headrace.runtime.flow import Flow
from tests.unit.running import plans_of, running


def flow_of(*stages: Mapping[str, object]) -> Flow:
    first = {"name": "in", "action": "kafka", "config": {"topics": "in"}, "out": "0"}
    return Flow.model_validate({"name": "flow", "stages": [first, *stages]})


SINK = {"name": "sink", "action": "publish", "config": {"topic": "out"}}


def chain(length: int, **stage: object) -> Flow:
    return flow_of(
        *(
            {"name": str(i), "out": str(i + 1) if i + 1 < length else "sink", **stage}
            for i in range(length)
        ),
        SINK,
    )


@pytest.mark.parametrize(
    "stage",
    [
        {"action": "noop"},
        {"action": "filter", "config": {"where": "event.a == 1"}},
        {"action": "map", "config": {"set": {"b": "event.a + 1"}}},
        {"action": "map", "config": {"each": "[event]"}},
        {"action": "log", "config": {"message": "${key}"}},
        {"action": "publish", "config": {"topic": "side"}},
    ],
    ids=lambda stage: f"{stage['action']}-{'-'.join(stage.get('config', {}))}",
)
def test_a_chain_of_two_hundred_stages_works(stage: dict[str, object]) -> None:
    run = running(chain(200, **stage))

    run.run({"a": 1})

    assert [one["a"] for one in run.data("out")] == [1]


def test_a_fan_out_to_two_hundred_stages_reaches_all_of_them() -> None:
    sinks = [
        {"name": f"s{i}", "action": "publish", "config": {"topic": "out", "value": str(i)}}
        for i in range(200)
    ]
    run = running(
        flow_of({"name": "0", "action": "noop", "out": [f"s{i}" for i in range(200)]}, *sinks)
    )

    run.run({})

    assert run.data("out") == list(range(200))


def branches(length: int) -> Flow:
    return flow_of(
        *(
            {
                "name": str(i),
                "action": "branch",
                "config": {
                    "routes": [
                        {"when": "event.a == 1", "to": str(i + 1) if i + 1 < length else "sink"},
                        {"when": "event.a == 2", "to": str(i + 1) if i + 1 < length else "sink"},
                    ]
                },
            }
            for i in range(length)
        ),
        SINK,
    )


def test_code_does_not_double_with_every_stage_that_two_routes_lead_to() -> None:
    (module,) = modules_of(plans_of(branches(12))[0])

    assert module.source.count("\n") < 600


def test_routes_that_lead_to_one_stage_both_work() -> None:
    run = running(branches(5))

    run.run({"a": 1}, {"a": 2}, {"a": 3})

    assert run.data("out") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\\b", "a{b}", "späť", "a\nb", "1", "None", "%s"])
def test_names_with_odd_characters_do_no_harm(name: str) -> None:
    run = running(
        flow_of(
            {"name": "0", "action": "noop", "out": [name, "sink"]},
            {"name": name, "action": "error", "on_error": "skip"},
            SINK,
        )
    )

    run.run({})

    assert run.data("out") == [{}]
