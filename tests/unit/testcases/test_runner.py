from pathlib import Path

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.testcases import TestReport, TestResult, run_tests
from headrace.runtime.testcases.text import lines_of

FLOW = """
name: totals
stages:
  - {name: source, action: kafka, config: {topics: in}, out: size}
  - name: size
    action: branch
    config: {routes: [{when: event.n > 100, to: large}, {when: event.n > 10, to: medium}], otherwise: small}
  - {name: large, action: map, config: {set: {total: event.n * 2}}, out: sink}
  - {name: medium, action: filter, config: {where: event.n != 50}, out: sink}
  - {name: small, action: publish, config: {topic: small}}
  - {name: sink, action: publish, config: {topic: out}}
"""


def run(folder: Path, tests: str, flow: str = FLOW) -> TestReport:
    (folder / "totals.yaml").write_text(flow)
    (folder / "totals.test.yaml").write_text(tests)
    return run_tests([folder])


def one(folder: Path, test: str, flow: str = FLOW) -> TestResult:
    (result,) = run(folder, f"tests:\n  - {{name: test, {test}}}\n", flow).results()
    return result


def told(result: TestResult) -> list[str]:
    return [f"{mismatch.where}: {mismatch.text}" for mismatch in result.mismatches]


def test_a_test_passes_when_everything_is_as_expected(tmp_path: Path) -> None:
    result = one(
        tmp_path,
        "input: [{key: a, value: {n: 200}}, {value: {n: 5}}, {raw: '{'}],"
        "expect: {out: [{key: a, value: {n: 200, total: 400.0}}], small: [{value: {n: 5}}]},"
        "dead_letters: [{stage: source, raw: '{'}]",
    )

    assert result.status == "passed"
    assert result.mismatches == ()


def test_a_difference_is_told_field_by_field(tmp_path: Path) -> None:
    result = one(
        tmp_path, "input: [{value: {n: 200}}], expect: {out: [{value: {n: 200, total: 1}}]}"
    )

    assert result.status == "failed"
    (mismatch,) = result.mismatches
    assert (mismatch.where, mismatch.text) == ("out", "record 1 is not as expected (out[0]@0)")
    assert [(d.path, d.expected, d.found) for d in mismatch.differences] == [
        ("value.total", "1", "400")
    ]


def test_missing_and_unexpected_records_are_told(tmp_path: Path) -> None:
    result = one(
        tmp_path,
        "input: [{value: {n: 200}}, {value: {n: 5}}, {value: {}}], expect: {out: [{match: subset, value: {n: 200}}, {value: 2}]}",
    )

    assert told(result) == [
        "out: record 2 is missing: value 2",
        "small: unexpected records in 'small': small[0]@0 key null value {\"n\":5}",
        "dead letters: unexpected dead letter of stage 'size': event has no field 'n'; it is empty",
    ]


def test_an_empty_list_says_that_nothing_comes_out(tmp_path: Path) -> None:
    assert one(tmp_path, "input: [{value: {n: 5}}], expect: {small: []}").status == "failed"
    assert one(tmp_path, "input: [{value: {n: 5}}], expect: {small: [{}]}").status == "passed"


def test_others_may_be_ignored(tmp_path: Path) -> None:
    inputs = "input: [{value: {n: 5}}, {value: {n: 50}}, {value: {}}]"

    assert one(tmp_path, f"{inputs}, others: ignore").status == "passed"
    assert one(tmp_path, f"{inputs}, others: ignore, dead_letters: []").status == "failed"
    assert one(tmp_path, f"{inputs}, others: ignore, expect: {{small: []}}").status == "failed"


def test_the_order_matters_unless_told_otherwise(tmp_path: Path) -> None:
    inputs = "input: [{value: {n: 1}}, {value: {n: 2}}], expect: {small: [{value: {n: 2}}, {value: {n: 1}}]}"

    result = one(tmp_path, inputs)

    assert "the records are right, but their order is not" in told(result)[0]
    assert one(tmp_path, f"{inputs}, order: any").status == "passed"


def test_rules_of_the_file_hold_for_tests_without_their_own(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
match: subset
tolerance: 0.5
tests:
  - {name: by the file, input: [{value: {n: 200}}], expect: {out: [{value: {total: 500}}]}}
  - {name: by the test, match: exact, input: [{value: {n: 200}}], expect: {out: [{value: {total: 500}}]}}
  - {name: by the record, input: [{value: {n: 200}}], expect: {out: [{match: exact, value: {total: 500}}]}}
""",
    )

    assert [result.status for result in report.results()] == ["passed", "failed", "failed"]


def test_every_test_has_topics_and_a_clock_of_its_own(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
now: 2026-01-01T00:00:00Z
tests:
  - {name: first, input: [{value: {n: 1}}, {advance: 1h}, {value: {n: 2}}],
     expect: {small: [{timestamp: 2026-01-01T00:00:00Z}, {timestamp: 2026-01-01T01:00:00Z}]}}
  - {name: second, input: [{value: {n: 1}}], expect: {small: [{timestamp: 2026-01-01T00:00:00Z}]}}
""",
    )

    assert report.is_passed


def test_a_flow_that_should_stop_but_goes_on_fails_the_test(tmp_path: Path) -> None:
    assert told(one(tmp_path, "input: [], stops: amount")) == [
        'the flow: should have stopped with "amount"'
    ]


def test_a_flow_that_stops_for_another_reason_fails_the_test(tmp_path: Path) -> None:
    strict = FLOW.replace("name: totals", "name: totals\ndefaults: {on_error: fail}")

    result = one(tmp_path, "input: [{value: {}}], stops: amount", strict)

    assert 'without "amount" in it' in told(result)[0]


def test_what_cannot_be_carried_out_is_broken_and_says_why(tmp_path: Path) -> None:
    strict = FLOW.replace("name: totals", "name: totals\ndefaults: {on_error: fail}")

    stopped = one(tmp_path, "input: [{value: {}}]", strict)
    nowhere = one(tmp_path, "input: [{topic: inn, value: {}}]")
    unset = one(tmp_path, "input: [{value: 1}]", FLOW.replace("event.n * 2", "env.RATE"))

    assert [r.status for r in (stopped, nowhere, unset)] == ["error"] * 3
    assert "flow 'totals' stopped" in stopped.error
    assert "did you mean 'in'?" in nowhere.error
    assert "env.RATE is not given to the test" in unset.error


def test_a_topic_must_be_named_when_there_are_several(tmp_path: Path) -> None:
    result = one(tmp_path, "input: [{value: {}}]", FLOW.replace("topics: in", "topics: [in, two]"))

    assert result.error == "say with 'topic' where each record is sent; the flows read in, two"


def test_a_mistake_of_the_flow_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="did you mean 'small'"):
        run(tmp_path, "tests: [{name: a}]", FLOW.replace("otherwise: small", "otherwise: smal"))


def test_coverage_is_that_of_all_tests_of_a_flow(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
others: ignore
tests:
  - {name: large, input: [{value: {n: 200}}]}
  - {name: small, input: [{value: {n: 2}}]}
""",
    )

    assert report.suites[0].coverage.gaps == (
        "route 2 of 'size' never taken",
        "stage 'medium' never reached",
    )
    assert report.coverage_percent == pytest.approx(100 * 7 / 11)


def test_the_report_is_plain_data(tmp_path: Path) -> None:
    report = run(tmp_path, "tests: [{name: a, input: [{value: {n: 5}}], expect: {small: []}}]")

    document = report.as_dict()

    assert (document["passed"], document["failed"], document["errors"]) == (0, 1, 0)
    (suite,) = document["suites"]
    assert suite["flows"] == ["totals"]
    assert suite["tests"][0]["status"] == "failed"
    assert suite["tests"][0]["place"].endswith("totals.test.yaml:1")


def test_the_text_tells_failures_gaps_and_flows_without_tests(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(FLOW.replace("name: totals", "name: other"))
    report = run(
        tmp_path,
        "tests: [{name: good}, {name: bad, input: [{value: {n: 200}}], expect: {out: [{value: {n: 1}}]}}]",
    )

    text = "\n".join(line.text for line in lines_of(report)).replace(f"{tmp_path}/", "")

    assert (
        text
        == """totals.test.yaml
  passed  good
  failed  bad (totals.test.yaml:1)
    out: record 1 is not as expected (out[0]@0)
      value.n
        expected  1
        found     200
      value.total
        expected  nothing
        found     400
  coverage 45 %
    route 2 of 'size' never taken
    otherwise of 'size' never taken
    stage 'medium' never reached
    stage 'small' never reached
other.yaml: no tests; write them into other.test.yaml
1 passed, 1 failed; coverage 45 %"""
    )
