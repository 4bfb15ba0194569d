"""What came of tests, as data."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from headrace.runtime.testcases.coverage import Coverage
from headrace.runtime.testcases.matching import Difference

Status = Literal["passed", "failed", "error"]


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not as expected: `where` is a topic or `dead letters`."""

    where: str
    text: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One test. `place` is its file and line; `error` says why it could not be carried out."""

    __test__: ClassVar[bool] = False  # its name makes pytest look for tests in it

    name: str
    place: str
    status: Status
    mismatches: tuple[Mismatch, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """The tests of one file, and what all of them together reached."""

    file: str
    flows: tuple[str, ...]
    results: tuple[TestResult, ...]
    coverage: Coverage

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.file,
            "flows": list(self.flows),
            "tests": [asdict(result) for result in self.results],
            "coverage": self.coverage.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class TestReport:
    """Every suite that ran. `untested` are files of flows without a file of tests beside them."""

    __test__: ClassVar[bool] = False

    suites: tuple[SuiteResult, ...]
    untested: tuple[str, ...] = ()
    counts: dict[Status, int] = field(init=False)

    def __post_init__(self) -> None:
        statuses: dict[Status, int] = {"passed": 0, "failed": 0, "error": 0}
        for result in self.results():
            statuses[result.status] += 1
        object.__setattr__(self, "counts", statuses)

    def results(self) -> Iterator[TestResult]:
        """The results of all suites."""
        return (result for suite in self.suites for result in suite.results)

    @property
    def is_passed(self) -> bool:
        """Whether no test failed or broke."""
        return self.counts["failed"] == self.counts["error"] == 0

    @property
    def coverage_percent(self) -> float:
        """Reached places of all flows under test, from 0 to 100."""
        reached = sum(len(suite.coverage.reached) for suite in self.suites)
        total = reached + sum(len(suite.coverage.missed) for suite in self.suites)
        return 100.0 * reached / total if total else 100.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "passed": self.counts["passed"],
            "failed": self.counts["failed"],
            "errors": self.counts["error"],
            "coverage": round(self.coverage_percent, 1),
            "suites": [suite.as_dict() for suite in self.suites],
            "untested": list(self.untested),
        }
