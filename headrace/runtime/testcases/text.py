"""A report as lines for people; whoever prints them decides about colours."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from headrace.runtime.testcases.report import SuiteResult, TestReport, TestResult

Tone = Literal["good", "bad", "weak", "plain"]


class Line(NamedTuple):
    """One line, and what it means for who reads it."""

    text: str
    tone: Tone = "plain"


def lines_of(report: TestReport) -> Iterator[Line]:
    """The whole report, ending with a line that sums it up."""
    for suite in report.suites:
        yield from _suite(suite)
    for path in report.untested:
        yield Line(f"{path}: no tests; write them into {_beside(path)}", "weak")
    counts = report.counts
    words = [f"{counts['passed']} passed"]
    words += [f"{counts['failed']} failed"] if counts["failed"] else []
    words += [f"{counts['error']} broken"] if counts["error"] else []
    coverage = f"; coverage {report.coverage_percent:.0f} %" if report.suites else ""
    yield Line(", ".join(words) + coverage, "good" if report.is_passed else "bad")


def _suite(suite: SuiteResult) -> Iterator[Line]:
    yield Line(suite.file)
    for result in suite.results:
        yield from _result(result)
    if suite.coverage.missed:
        yield Line(f"  coverage {suite.coverage.percent:.0f} %", "weak")
        yield from (Line(f"    {gap}", "weak") for gap in suite.coverage.gaps)


def _result(result: TestResult) -> Iterator[Line]:
    if result.status == "passed":
        yield Line(f"  passed  {result.name}", "good")
        return
    yield Line(f"  {result.status:<6}  {result.name} ({result.place})", "bad")
    if result.error:
        yield from (Line(f"    {text}") for text in result.error.splitlines())
    for mismatch in result.mismatches:
        yield Line(f"    {mismatch.where}: {mismatch.text}")
        for difference in mismatch.differences:
            yield Line(f"      {difference.path}")
            yield Line(f"        expected  {difference.expected}", "good")
            yield Line(f"        found     {difference.found}", "bad")


def _beside(path: str) -> str:
    stem, _, _ = path.rpartition(".")
    return f"{stem}.test.yaml"
