"""Flows that share a group, a consumer and a transaction."""

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.flow import Flow
from headrace.runtime.worker.groups import groups_of
from tests.unit.running import plans_of, running

FLOW = """
name: "{name}"
group: {group}
stages:
  - {{name: in, action: kafka, config: {{topics: in{trigger}}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: "out-{name}"{sink}}}}}
"""


def flow(name: str, group: str = "g", trigger: str = "", sink: str = "") -> str:
    return FLOW.format(name=name, group=group, trigger=trigger, sink=sink)


def test_flows_are_grouped_by_the_group_they_name() -> None:
    groups = groups_of(plans_of(flow("a"), flow("b"), flow("c", "other")))

    assert {group: [plan.name for plan in plans] for group, plans in groups.items()} == {
        "headrace.g": ["a", "b"],
        "headrace.other": ["c"],
    }


def test_names_that_would_share_topics_and_compressions_that_differ_are_all_told() -> None:
    plans = [
        *plans_of(flow("a", sink=", compression: zstd")),
        *plans_of(flow("b", sink=", compression: gzip")),
        *plans_of(flow("x y", "other").replace("out-x y", "out-x")),
        *plans_of(flow("x-y", "another")),
    ]

    with pytest.raises(FlowError) as caught:
        groups_of(plans)

    names, compressions = caught.value.problems
    assert names.text == "flow 'x-y' and flow 'x y' both become 'x-y' in topic names; rename one"
    assert compressions.text == (
        "one producer has one compression, but stage 'sink' of flow 'a' asks for zstd and stage 'sink'"
        " of flow 'b' asks for gzip; choose one, or give the flows groups of their own"
    )


def test_flows_of_one_group_each_get_every_record_and_fail_alone() -> None:
    run = running(
        flow("a"),
        flow("b", sink=", key: event.id"),
        flow("text", trigger=", format: text", sink=", format: text"),
        flow("skipping", trigger=", tombstones: skip"),
    )

    run.run({"id": "1"}, {"no": 1}, None)

    assert run.data("out-a") == [{"id": "1"}, {"no": 1}, None]
    assert run.data("out-b") == [{"id": "1"}]
    assert run.data("out-text") == [{"id": "1"}, {"no": 1}, None]
    assert run.data("out-skipping") == [{"id": "1"}, {"no": 1}]
    assert len(run.read("headrace.b.dead-letters")) == 2
    assert run.member.statistics.failed == {("b", "sink", "dead_letter"): 2}


def test_bytes_that_cannot_be_decoded_fail_in_each_flow_by_its_own_policy() -> None:
    skips = flow("b").replace("out: sink}", "out: sink, on_error: skip}")
    run = running(flow("a"), skips)

    run.run(b"{")

    assert len(run.read("headrace.a.dead-letters")) == 1
    assert run.read("headrace.b.dead-letters") == []


def test_a_hundred_flows_on_one_topic_run_in_one_group() -> None:
    flows = [
        Flow.model_validate(
            {
                "name": f"f{i}",
                "group": "g",
                "stages": [
                    {"name": "in", "action": "kafka", "config": {"topics": "in"}, "out": "sink"},
                    {
                        "name": "sink",
                        "action": "publish",
                        "config": {"topic": "out", "value": str(i)},
                    },
                ],
            }
        )
        for i in range(100)
    ]
    run = running(*flows)

    run.run({})

    assert run.data("out") == list(range(100))
