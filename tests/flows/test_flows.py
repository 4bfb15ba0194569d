"""Flow documents with inputs and expected outputs, on the memory engine and on Apache Kafka."""

from pathlib import Path

import pytest

from headrace.runtime.testcases.loading import Suite, load_suites
from headrace.runtime.testcases.model import TestCase
from headrace.runtime.testcases.runner import open_in_memory, run_case, run_suite
from tests.flows.kafka_driver import KafkaDriver, snapshot

LOADED = load_suites([Path(__file__).parent])
SUITES = {suite.path.name.partition(".")[0]: suite for suite in LOADED.suites}
CASES = {
    f"{name}-{i}": (suite, case)
    for name, suite in SUITES.items()
    for i, case in enumerate(suite.document.tests)
}
ON_KAFKA = {
    name: (suite, case)
    for name, (suite, case) in CASES.items()
    # Nobody moves the clock of a real broker, or makes it refuse a commit.
    if not any(step.advance or step.fail_next_commit for step in case.input)
}


def test_every_flow_has_tests() -> None:
    assert LOADED.untested == ()
    assert len(SUITES) >= 25


@pytest.mark.parametrize(("suite", "case"), CASES.values(), ids=CASES)
def test_a_case_holds_in_memory(suite: Suite, case: TestCase) -> None:
    with open_in_memory(suite, case) as driver:
        mismatches = list(run_case(suite, case, driver))

    assert mismatches == []


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_the_cases_of_a_flow_reach_every_stage_and_route(suite: Suite) -> None:
    result = run_suite(suite)

    assert result.coverage.gaps == ()


@pytest.mark.kafka
@pytest.mark.parametrize(("suite", "case"), ON_KAFKA.values(), ids=ON_KAFKA)
def test_a_case_holds_on_kafka_with_the_same_records_in_every_partition(
    suite: Suite, case: TestCase, kafka_brokers: str
) -> None:
    with open_in_memory(suite, case) as memory:
        assert list(run_case(suite, case, memory)) == []
        sources = {step.topic for step in case.input}
        is_ordered = len(sources) < 2 and suite.document.topics.get("in", 1) == 1
        expected = snapshot(memory, is_ordered=is_ordered)

    with KafkaDriver(suite, case, kafka_brokers) as kafka:
        mismatches = list(run_case(suite, case, kafka))
        found = snapshot(kafka, is_ordered=is_ordered)

    assert mismatches == []
    assert found == expected
