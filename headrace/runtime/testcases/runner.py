"""Runs test cases: a broker in memory, a worker and a clock for each of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from headrace.runtime.errors import FlowError, FlowStoppedError, HeadraceError, SettingsError
from headrace.runtime.task.records import encode_header, encode_key, encode_text
from headrace.runtime.testcases.answers import answering, answers_of
from headrace.runtime.testcases.coverage import Coverage, CoveragePlace, coverage_of
from headrace.runtime.testcases.driver import NOW_MS, Driver, GivenValues, memory_engine
from headrace.runtime.testcases.loading import Suite, load_suites
from headrace.runtime.testcases.matching import (
    Comparison,
    is_in_order,
    pairs_in_any_order,
    shown,
)
from headrace.runtime.testcases.model import (
    TOLERANCE,
    ExpectedRecord,
    InputStep,
    Rules,
    TestCase,
)
from headrace.runtime.testcases.records import TestRecord
from headrace.runtime.testcases.report import (
    Mismatch,
    Status,
    SuiteResult,
    TestReport,
    TestResult,
)

DEAD_LETTERS = "dead letters"
Opener = Callable[[Suite, TestCase], Driver]


def run_tests(paths: Iterable[str | Path]) -> TestReport:
    """Run the tests of flows, of files of tests, or of folders with both, on the memory engine.

    Raises:
        FlowError: a document of flows or of tests is wrong; nothing has run then.
    """
    found = load_suites(paths)
    return TestReport(
        suites=tuple(run_suite(suite) for suite in found.suites),
        untested=tuple(map(str, found.untested)),
    )


def open_in_memory(suite: Suite, case: TestCase) -> Driver:
    """A driver of the suite's flows on a broker of its own, for one test."""
    document = suite.document
    engine = memory_engine(NOW_MS if document.now is None else document.now)
    return Driver(
        suite.flows,
        broker=engine,
        clock=engine.clock,
        values=GivenValues(document.env, document.secrets),
        topics=document.topics,
        callers=answering(answers_of(document, case)),
    )


def run_suite(suite: Suite, opened: Opener = open_in_memory) -> SuiteResult:
    """Run the tests of one file, each with a driver of its own.

    Raises:
        FlowError: the flows do not fit together.
    """
    visited: set[CoveragePlace] = set()
    coverage = Coverage((), ())
    results = []
    for index, case in enumerate(suite.document.tests):
        place = suite.place(index)
        try:
            with opened(suite, case) as driver:
                mismatches = tuple(run_case(suite, case, driver))
                visited |= driver.visited
                coverage = coverage_of(driver.plans, visited)
        except FlowError:
            raise
        except HeadraceError as error:
            result = TestResult(name=case.name, place=place, status="error", error=str(error))
        else:
            status: Status = "failed" if mismatches else "passed"
            result = TestResult(name=case.name, place=place, status=status, mismatches=mismatches)
        results.append(result)
    return SuiteResult(
        file=str(suite.path),
        flows=tuple(flow.name for flow in suite.flows),
        results=tuple(results),
        coverage=coverage,
    )


def run_case(suite: Suite, case: TestCase, driver: Driver) -> Iterator[Mismatch]:
    """Carry out one test and yield what is not as it expects.

    Raises:
        HeadraceError: it could not be carried out.
    """
    stopped: FlowStoppedError | None = None
    try:
        for step in case.input:
            _carry_out(step, driver)
        driver.run()
    except FlowStoppedError as error:
        if case.stops is None:
            raise
        stopped = error
    if case.stops is not None:
        if stopped is None:
            yield Mismatch("the flow", f"should have stopped with {shown(case.stops)}")
        elif case.stops not in str(stopped):
            yield Mismatch(
                "the flow", f"stopped with {shown(str(stopped))}, without {shown(case.stops)} in it"
            )
    yield from _Check(suite.document, case, driver).all()


def _carry_out(step: InputStep, driver: Driver) -> None:
    if step.advance is not None:
        driver.advance(step.advance.total_seconds())
    elif step.restart:
        driver.run(commit=False)
        driver.restart()
    elif step.fail_next_commit:
        driver.fail_next_commit()
    else:
        topic = step.topic or _only_topic(driver.sources)
        value = step.raw_bytes if step.has("raw", "base64") else _as_json(step)
        driver.send(
            topic,
            value,
            key=encode_key(step.key),
            timestamp=step.timestamp,
            headers=[(name, encode_header(text)) for name, text in step.headers.items()],
            partition=step.partition,
        )


def _as_json(step: InputStep) -> bytes | None:
    # A list around the value, because encode_text takes text for what is written already.
    encoded = None if step.value is None else encode_text([step.value])
    return encoded[1:-1] if encoded is not None else None


def _only_topic(topics: Sequence[str]) -> str:
    if len(topics) != 1:
        raise SettingsError(
            f"say with 'topic' where each record is sent; the flows read {', '.join(topics) or 'topics by pattern'}"
        )
    return topics[0]


class _Check:
    """Compares what one test brought forth with what it expects."""

    def __init__(self, document: Rules, case: TestCase, driver: Driver) -> None:
        tolerance = _first(case.tolerance, document.tolerance, TOLERANCE)
        self._how = Comparison(
            match=case.match or document.match or "exact",
            tolerance=tolerance,
        )
        self._is_ordered = (case.order or document.order or "exact") == "exact"
        self._others_fail = (case.others or document.others or "fail") == "fail"
        self._case = case
        self._driver = driver

    def all(self) -> Iterator[Mismatch]:
        dead_letter_topics = set(self._driver.dead_letter_topics.values())
        topics = [name for name in self._driver.topics() if name not in dead_letter_topics]
        for topic, expected in self._case.expect.items():
            found = self._driver.written(topic) if topic in topics else []
            yield from self._compare(topic, expected, found, is_ordered=self._is_ordered)
        for topic in topics:
            if topic not in self._case.expect and self._others_fail:
                found = self._driver.written(topic)
                if found:
                    yield Mismatch(topic, f"unexpected records in '{topic}': {_listed(found)}")
        yield from self._dead_letters()

    def _dead_letters(self) -> Iterator[Mismatch]:
        expected = self._case.dead_letters
        letters = [
            letter
            for flow in self._driver.dead_letter_topics
            for letter in self._driver.dead_letters(flow)
        ]
        if expected is not None:
            yield from self._compare(DEAD_LETTERS, expected, letters, is_ordered=False)
        elif letters and self._others_fail:
            for letter in letters:
                yield Mismatch(
                    DEAD_LETTERS,
                    f"unexpected dead letter of stage '{letter.stage}': {letter.error}",
                )

    def _compare(
        self,
        where: str,
        expected: Sequence[ExpectedRecord],
        found: Sequence[TestRecord],
        *,
        is_ordered: bool,
    ) -> Iterator[Mismatch]:
        def same(i: int, j: int) -> bool:
            return not self._how.records(expected[i], found[j])

        if is_ordered and is_in_order(len(expected), [record.partition for record in found], same):
            return
        pairs = pairs_in_any_order(len(expected), len(found), same)
        left = [i for i in range(len(expected)) if i not in pairs]
        extra = [j for j in range(len(found)) if j not in pairs.values()]
        if not left and not extra:
            if is_ordered:
                yield Mismatch(
                    where,
                    f"the records are right, but their order is not; found {_listed(found)};"
                    " with 'order: any' it does not matter",
                )
            return
        for i, j in zip(left, extra, strict=False):
            record = found[j]
            yield Mismatch(
                where,
                f"record {i + 1} is not as expected ({_spot(record)})",
                tuple(self._how.records(expected[i], record)),
            )
        for i in left[len(extra) :]:
            yield Mismatch(where, f"record {i + 1} is missing: {_wanted(expected[i])}")
        for j in extra[len(left) :]:
            yield Mismatch(where, f"unexpected record: {_listed([found[j]])}")


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _spot(record: TestRecord) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


def _wanted(expected: ExpectedRecord) -> str:
    named = [
        f"{name} {shown(getattr(expected, name))}" for name in sorted(expected.model_fields_set)
    ]
    return ", ".join(named) or "any record"


def _listed(records: Sequence[TestRecord]) -> str:
    first = [
        f"{_spot(record)} key {shown(record.key)} value {shown(record.value)}"
        for record in records[:3]
    ]
    more = f" and {len(records) - 3} more" if len(records) > 3 else ""
    return "; ".join(first) + more
