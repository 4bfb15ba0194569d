from pathlib import Path

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.flow import load_flows, parse_flows


def document(name: str) -> str:
    return f"name: {name}\nstages: [{{name: in, action: kafka}}]\n"


def problems(text: str, name: str = "orders.yaml") -> list[str]:
    with pytest.raises(FlowError) as caught:
        parse_flows(text, name)
    return [str(problem) for problem in caught.value.problems]


def load_problems(*paths: Path) -> list[str]:
    with pytest.raises(FlowError) as caught:
        load_flows(paths)
    return [str(problem) for problem in caught.value.problems]


MISTAKEN = """\
name: orders
descripton: ten mistakes
enabled: yes
defaults:
  retry:
    attempts: 0
stages:
  - name: in
    action: kafka
    config: [orders]
    name: inlet
  - name: totals
    ouput: sink
    action: reduce
    timeout: 5
    link: topics
  - action: publish
    out: [1]
  - name: last
    action: publish
    retry: {backoff: {inital: 1s}}
---
name: orders
stages: many
"""


def test_all_mistakes_are_reported_at_once_in_order_of_line() -> None:
    assert problems(MISTAKEN) == [
        "orders.yaml:2: flow 'orders': unknown key 'descripton'; did you mean 'description'?",
        "orders.yaml:3: flow 'orders': 'enabled' must be true or false, found text",
        (
            "orders.yaml:6: flow 'orders': 'defaults.retry.attempts' must be at least 1, "
            "found the number 0"
        ),
        "orders.yaml:10: stage 'inlet': 'config' must be a mapping, found a list",
        "orders.yaml:11: key 'name' is given twice, first in line 8; keep one of them",
        "orders.yaml:13: stage 'totals': unknown key 'ouput'; did you mean 'out'?",
        (
            "orders.yaml:15: stage 'totals': 'timeout': a duration needs a unit, found 5; "
            "did you mean '5s'?"
        ),
        (
            "orders.yaml:16: stage 'totals': 'link' must be 'topic', found 'topics'; "
            "did you mean 'topic'?"
        ),
        "orders.yaml:17: flow 'orders': 'stages[2].name' is missing",
        (
            "orders.yaml:18: flow 'orders': 'stages[2].out[0]' must be text, found the number 1; "
            "put it in quotes"
        ),
        (
            "orders.yaml:21: stage 'last': unknown key 'inital' in 'retry.backoff'; "
            "did you mean 'initial'?"
        ),
        "orders.yaml:24: flow 'orders': 'stages' must be a list of stages, found text",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stages: []", "t:1: flow: 'name' is missing"),
        ("name: ''\nstages: []", "t:1: flow: 'name' must not be empty"),
        ("name: a\nstages: []", "t:2: flow 'a': 'stages' must hold at least one stage"),
        ("name: 5\nstages: 5", "t:1: flow: 'name' must be text, found the number 5; put it in"),
        ("name: a\nstages: [x]", "t:2: flow 'a': 'stages[0]' must be a mapping, found text"),
        ("name: a\nversion: 1.5\nstages: x", "t:2: flow 'a': 'version' must be text or a whole"),
        ("name: a\nversion:\nstages: 1", "t:3: flow 'a': 'stages' must be a list of stages"),
        ("[1]", "t:1: a flow must be a mapping with 'name' and 'stages', found a list; put"),
        ("just text", "t:1: a flow must be a mapping with 'name' and 'stages', found text"),
    ],
)
def test_a_wrong_flow_is_told_in_plain_words(text: str, problem: str) -> None:
    assert problems(text, "t")[0].startswith(problem)


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ("out: 5", "'out' must be the name of a stage or a list of names, found the number 5"),
        ("out: ''", "'out' must not be empty"),
        ("config:", "'config' must be a mapping, found nothing"),
        ("buffer: true", "'buffer' must be a whole number, found true"),
        ("buffer: 0", "'buffer' must be at least 1, found the number 0"),
        ("retry: 5", "'retry' must be a mapping, found the number 5"),
        ("retry: {backoff: []}", "'retry.backoff' must hold at least one duration"),
        ("retry: {backoff: [1s, x]}", "'retry.backoff[1]': 'x' is not a duration; write it"),
        ("retry: {backoff: true}", "'retry.backoff' must be a duration, a list of durations,"),
        ("retry: {backoff: {initial: 1s, jitter: 2}}", "'retry.backoff.jitter' must be at most 1"),
        ("props: {}", "unknown key 'props'; known keys are action, breaker, buffer, compensate"),
        ("on-error: skip", "unknown key 'on-error'; did you mean 'on_error'?"),
    ],
)
def test_a_wrong_stage_is_told_in_plain_words(stage: str, problem: str) -> None:
    text = f"name: a\nstages:\n  - name: s\n    action: map\n    {stage}\n"

    assert problems(text, "t")[0].startswith(f"t:5: stage 's': {problem}")


def test_a_document_of_another_system_is_named() -> None:
    texts = [
        "name: a\njobs: {build: {steps: [{action: x}]}}",
        "summary: a\nvalue: {modules: []}",
        "version: 3.1\nflows: []",
        "name: a\nflow_structure: {nodes: []}",
    ]

    found = [problems(text, "t")[0] for text in texts]

    kinds = ["a DataTorch pipeline", "a Windmill OpenFlow", "a PlugSync config", "a node graph"]
    assert all(
        problem.startswith(f"t:1: this looks like {kind}")
        and "reads only the native format" in problem
        for problem, kind in zip(found, kinds, strict=True)
    )


def test_two_flows_of_one_name_are_a_mistake_that_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(document("orders"))
    (tmp_path / "b.yaml").write_text("# second\n" + document("orders"))

    assert load_problems(tmp_path) == [
        (
            f"{tmp_path}/b.yaml:2: flow 'orders' is also defined in {tmp_path}/a.yaml:1; "
            "a name belongs to one flow"
        )
    ]


def test_two_names_that_kafka_cannot_tell_apart_are_a_mistake() -> None:
    (problem,) = problems(document("my orders") + "---\n" + document("my-orders"))

    assert problem.startswith("orders.yaml:4: flow 'my-orders' and flow 'my orders' in ")


def test_a_folder_is_searched_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ["z.yaml", "b/2.yml", "b/1.json", "a.yaml", ".hidden/c.yaml", "b/.d.yaml"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = f'{{"name": "{name}", "stages": [{{"name": "in", "action": "kafka"}}]}}'
        path.write_text(text)
    (tmp_path / "a.test.yaml").write_text("not: a flow")
    (tmp_path / "a.test.yml").write_text("not: a flow")
    (tmp_path / "readme.txt").write_text("not a flow")

    flows = load_flows([tmp_path])

    assert [flow.name for flow in flows] == ["a.yaml", "z.yaml", "b/1.json", "b/2.yml"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("orders"))

    assert len(load_flows([path, tmp_path, str(path)])) == 1


def test_test_cases_among_the_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(document("orders"))
    (tmp_path / "a.test.yaml").write_text("not: a flow")

    flows = load_flows(sorted(tmp_path.iterdir()))

    assert [flow.name for flow in flows] == ["orders"]


def test_all_wrong_paths_are_reported_with_the_wrong_documents(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text("name: orders\nstages: 5\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")

    found = load_problems(
        tmp_path / "order.yaml",
        tmp_path / "empty",
        tmp_path / "notes.txt",
        tmp_path / "orders.yaml",
    )

    assert found == [
        f"{tmp_path}/order.yaml: there is no such file or folder; did you mean 'orders.yaml'?",
        f"{tmp_path}/empty: the folder holds no flows (*.yaml, *.yml, *.json)",
        f"{tmp_path}/notes.txt: the name of a file of flows ends in .yaml, .yml or .json",
        (
            f"{tmp_path}/orders.yaml:2: flow 'orders': 'stages' must be a list of stages, "
            "found the number 5"
        ),
    ]


def test_a_path_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert load_problems(tmp_path / "none" / "a.yaml") == [
        f"{tmp_path}/none/a.yaml: there is no such file or folder"
    ]


def test_no_flows_at_all_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.test.yaml").write_text("")

    assert load_problems(tmp_path / "a.test.yaml") == [
        "no flows were found; name a file or a folder of flows"
    ]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"#" * 5_000_001)

    assert load_problems(tmp_path) == [f"{tmp_path}/a.yaml: the text is larger than 5 MB"]
