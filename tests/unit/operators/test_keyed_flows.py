"""Keyed operators in flows, on the engine in memory: with repartition topics, commits and aborts."""

from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from headrace.testing import FlowTest

FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: it}
%s
  - {name: sink, action: publish, config: {topic: out}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def flow_of(folder: Path, stages: str) -> FlowTest:
    path = folder / "flow.yaml"
    path.write_text(FLOW % indent(stages, "  "))
    return FlowTest(path, topics={"in": 2})


def received(test: FlowTest, topic: str = "out") -> list[Any]:
    return [record.value for record in test.received(topic)]


def test_dedupe_forgets_what_was_aborted_and_remembers_what_was_committed(folder: Path) -> None:
    stage = "- {name: it, action: dedupe, config: {key: event.id, within: 1h}, out: sink}"
    with flow_of(folder, stage) as test:
        test.send("in", {"id": 1}, partition=0)
        test.run()
        test.send("in", {"id": 1}, partition=1)
        test.send("in", {"id": 2}, partition=1)
        test.faults.fail_next_commit()
        test.run()
        test.send("in", {"id": 2}, partition=0)
        test.run()

        assert sorted(event["id"] for event in received(test)) == [1, 2]
        assert not test.dead_letters()


def test_what_was_split_comes_together_behind_a_map(folder: Path) -> None:
    stages = """\
- {name: it, action: split, config: {items: event.lines}, out: price}
- {name: price, action: map, config: {set: {cost: event.lines * 2}}, out: whole}
- {name: whole, action: collect, config: {item: event.cost}, out: sink}"""
    with flow_of(folder, stages) as test:
        test.send("in", {"lines": [1, 2, 3]}, partition=0)
        test.send("in", {"lines": []}, partition=0)
        test.send("in", {"lines": [4, 5]}, partition=1)
        test.run()

        assert sorted(received(test), key=lambda event: event["key"]) == [
            {"key": "in-0-0", "items": [2, 4, 6], "complete": True},
            {"key": "in-1-0", "items": [8, 10], "complete": True},
        ]


def test_collect_is_the_fan_in_of_map_each(folder: Path) -> None:
    stages = """\
- {name: it, action: map, config: {each: event, value: '{"n": item, "of": len(event)}'}, out: whole}
- {name: whole, action: collect, config: {count: event.of, item: event.n, order: event.n}, out: sink}"""
    with flow_of(folder, stages) as test:
        test.send("in", [3, 1, 2])
        test.run()

        assert [event["items"] for event in received(test)] == [[1, 2, 3]]


def test_zip_makes_lists_of_the_events_of_two_stages(folder: Path) -> None:
    stages = """\
- {name: other, action: kafka, config: {topics: other}, out: both}
- {name: it, action: map, config: {value: event * 10}, out: both}
- {name: both, action: zip, config: {event_limit: 2}, out: sink}"""
    with flow_of(folder, stages) as test:
        for value in (1, 2, 3):
            test.send("in", value, partition=0)
            test.run()
        test.send("other", {"n": 1})
        test.send("other", None)
        test.run()

        assert received(test) == [[{"n": 1}, 10], [None, 20]]
        assert [letter.stage for letter in test.dead_letters()] == ["both"]


def test_throttle_sends_what_is_over_the_rate_to_its_stage(folder: Path) -> None:
    stages = """\
- {name: it, action: throttle, config: {key: "'all'", rate: 2, per: 1m, over: rest}, out: sink}
- {name: rest, action: publish, config: {topic: rest, headers: {run: '${run.id}'}}}"""
    with flow_of(folder, stages) as test:
        for value in range(4):
            test.send("in", value, partition=0)
        test.run()

        assert received(test) == [0, 1]
        assert [(r.value, r.headers) for r in test.received("rest")] == [
            (2, {"run": "in-0-2"}),
            (3, {"run": "in-0-3"}),
        ]


def test_a_delay_holds_tombstones_and_events_in_order(folder: Path) -> None:
    stage = "- {name: it, action: delay, config: {wait: 1m}, out: sink}"
    with flow_of(folder, stage) as test:
        test.send("in", None, key="a")
        test.send("in", {"n": 1}, key="a")
        test.run()
        test.advance("59s")
        assert received(test) == []

        test.advance("2s")
        test.run()

        assert received(test) == [None, {"n": 1}]


def test_debounce_sends_the_last_record_of_a_burst(folder: Path) -> None:
    stage = "- {name: it, action: debounce, config: {wait: 30s}, out: sink}"
    with flow_of(folder, stage) as test:
        for value in (1, 2):
            test.send("in", value, key="a")
            test.advance("20s")
        assert received(test) == []

        test.advance("11s")
        test.run()

        assert [(r.key, r.value) for r in test.received("out")] == [("a", 2)]


@pytest.mark.parametrize("by_id", ["", ", id: event.name"])
def test_top_sends_one_ranking_per_commit(folder: Path, by_id: str) -> None:
    config = f"{{key: \"'all'\", by: event.score, item: event.name, k: 2{by_id}}}"
    stage = f"- {{name: it, action: top, config: {config}, out: sink}}"
    with flow_of(folder, stage) as test:
        for name, score in (("a", 1), ("b", 2), ("c", 3)):
            test.send("in", {"name": name, "score": score}, partition=0)
        test.run()
        test.send("in", {"name": "d", "score": 2.5}, partition=0)
        test.run()

        assert [event["items"] for event in received(test)] == [["c", "b"], ["c", "d"]]


@pytest.mark.parametrize("key", ["", "key: event.by, "])
@pytest.mark.parametrize(
    "stage",
    ["delay, config: {%swait: 1m}", "throttle, config: {%srate: 1, per: 30s, over: delay}",
     "debounce, config: {%swait: 1m}"],
)  # fmt: skip
def test_what_waits_keeps_its_headers_and_its_run(folder: Path, stage: str, key: str) -> None:
    stages = f"""\
- {{name: it, action: {stage % key}, out: told}}
- {{name: told, action: map, config: {{value: '{{"run": run.id, "trace": headers.trace}}'}}, out: sink}}"""
    with flow_of(folder, stages) as test:
        test.send("in", {"by": "x"}, key="a", headers={"trace": "one"}, partition=0)
        test.run()
        test.restart()
        test.send("in", {"by": "x"}, key="a", headers={"trace": "two"}, partition=0)
        test.run()
        test.advance("2m")
        test.restart()
        test.advance("2m")

        records = test.received("out")
        assert not test.dead_letters()
        assert records[-1].value == {"run": "in-0-1", "trace": "two"}
        assert records[-1].headers == {"trace": "two"}
