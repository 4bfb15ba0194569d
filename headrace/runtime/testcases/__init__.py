"""Test cases of flows: documents beside the flows, what runs them, and what they reached."""

from headrace.runtime.testcases.coverage import Coverage
from headrace.runtime.testcases.loading import load_suites
from headrace.runtime.testcases.matching import Difference
from headrace.runtime.testcases.report import Mismatch, SuiteResult, TestReport, TestResult
from headrace.runtime.testcases.runner import run_suite, run_tests

__all__ = [
    "Coverage",
    "Difference",
    "Mismatch",
    "SuiteResult",
    "TestReport",
    "TestResult",
    "load_suites",
    "run_suite",
    "run_tests",
]
