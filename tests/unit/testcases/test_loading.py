from pathlib import Path

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.testcases.loading import load_suites
from headrace.runtime.testcases.model import InputStep, TestDocument

FLOW = """
name: {name}
stages:
  - {{name: source, action: kafka, config: {{topics: in}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: out}}}}
"""
GIVE = "give a record's 'value', 'raw' or 'base64', or 'advance', 'restart' or 'fail_next_commit'"
TESTS = "tests: [{name: passes, input: [{value: 1}], expect: {out: [{value: 1}]}}]\n"


def write(folder: Path, *flows: str, **tests: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in flows:
        (folder / f"{name}.yaml").write_text(FLOW.format(name=name))
    for name, text in tests.items():
        (folder / f"{name}.test.yaml").write_text(text)
    return folder


def problems(path: Path) -> list[str]:
    with pytest.raises(FlowError) as caught:
        load_suites([path])
    return [str(problem).removeprefix(f"{path}/") for problem in caught.value.problems]


def test_a_flow_finds_the_tests_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", a=TESTS)

    found = load_suites([tmp_path / "a.yaml"])

    assert [suite.path.name for suite in found.suites] == ["a.test.yaml"]
    assert [flow.name for flow in found.suites[0].flows] == ["a"]


def test_a_folder_is_searched_and_flows_without_tests_are_told(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", a=TESTS)
    write(tmp_path / "deep", "c", c=TESTS)
    write(tmp_path / ".hidden", "d", d=TESTS)
    (tmp_path / "compose.yaml").write_text("services: {}\n")

    found = load_suites([tmp_path])

    assert [suite.path.name for suite in found.suites] == ["a.test.yaml", "c.test.yaml"]
    assert [path.name for path in found.untested] == ["b.yaml"]


def test_tests_may_name_several_flows(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", both="flow: [a.yaml, b.yaml]\n" + TESTS)

    found = load_suites([tmp_path])

    assert [flow.name for flow in found.suites[0].flows] == ["a", "b"]
    assert found.untested == ()


def test_a_file_that_is_named_twice_is_run_once(tmp_path: Path) -> None:
    write(tmp_path, "a", a=TESTS)

    found = load_suites([tmp_path, tmp_path / "a.yaml", tmp_path / "a.test.yaml"])

    assert len(found.suites) == 1


def test_every_mistake_is_told_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    text = """flw: a.yaml
tests:
  - name: first
    input:
      - {vlue: 1}
      - {value: 1, raw: x}
      - {advance: 5m, value: 1}
      - {advance: 5}
      - {}
    oder: exact
  - name: second
    order: exct
    expect: {out: {}}
"""
    write(tmp_path, "a", a=text)

    assert problems(tmp_path) == [
        "a.test.yaml:1: unknown key 'flw'; did you mean 'flow'?",
        "a.test.yaml:5: test 'first': unknown key 'vlue' in 'input[0]'; did you mean 'value'?",
        "a.test.yaml:6: test 'first': 'input[1]': give one of 'value', 'raw' and 'base64', not 2",
        "a.test.yaml:7: test 'first': 'input[2]': 'advance' stands alone; put other keys into a step of their own",
        "a.test.yaml:8: test 'first': 'input[3].advance': a duration needs a unit, found 5; did you mean '5s'?",
        "a.test.yaml:9: test 'first': 'input[4]': " + GIVE,
        "a.test.yaml:10: test 'first': unknown key 'oder'; did you mean 'order'?",
        "a.test.yaml:12: test 'second': 'order' must be 'exact' or 'any', found 'exct'; did you mean 'exact'?",
        "a.test.yaml:13: test 'second': 'expect.out' must be a list, found a mapping",
    ]


def test_tests_without_a_flow_and_paths_without_anything_are_told(tmp_path: Path) -> None:
    write(tmp_path, "a", other=TESTS)

    assert problems(tmp_path) == [
        "other.test.yaml: there is no flow 'other.yaml' beside it; name the flow with 'flow: other.yaml'"
    ]
    assert "did you mean 'a.yaml'?" in problems(tmp_path / "aa.yaml")[0]


@pytest.mark.parametrize(
    "text", ["- a\n", "x", "tests: []\n", "a: [\n", "---\ntests: []\n---\nx: 1\n"]
)
def test_what_is_no_file_of_tests_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a", a=text)

    assert problems(tmp_path)


def test_mistakes_of_the_flow_are_told_too(tmp_path: Path) -> None:
    write(tmp_path, "a", a=TESTS)
    (tmp_path / "a.yaml").write_text("name: a\nstages: [{name: x}]\n")

    assert problems(tmp_path) == ["a.yaml:2: stage 'x': 'action' is missing"]


def test_times_are_iso_or_milliseconds() -> None:
    assert InputStep(value=1, timestamp="1970-01-01T00:00:05Z").timestamp == 5000
    assert InputStep(value=1, timestamp="1970-01-01T01:00:05+01:00").timestamp == 5000
    assert InputStep(value=1, timestamp=5000).timestamp == 5000
    with pytest.raises(ValueError, match="must be a time such as"):
        InputStep(value=1, timestamp="soon")


def test_variables_are_text_whatever_the_document_has() -> None:
    document = TestDocument.model_validate(
        {"env": {"A": 1, "B": True, "C": "x"}, "tests": [{"name": "a"}]}
    )

    assert document.env == {"A": "1", "B": "true", "C": "x"}
