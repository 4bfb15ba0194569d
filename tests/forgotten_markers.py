"""Kafka 4.3.0 and 4.3.1 can forget the markers of a transaction that they have committed (docs/decisions/0024)."""

from collections.abc import Callable

import pytest

from headrace.connectors.local_kafka import LocalKafka
from headrace.runtime.errors import HeadraceError

ATTEMPTS = 4
_CONFESSION = "these partitions are likely deleted already and hence can be skipped"


def unless_kafka_forgets(kafka: LocalKafka, attempt: Callable[[int], None]) -> None:
    """Run what kills the broker; once more when it failed and the broker's log says that markers were forgotten.

    `attempt` is given 0, 1, ... and deletes no topic, for which the broker has the same words. The less often it
    commits, the less likely the broker dies between a commit and its markers.
    """
    for number in range(ATTEMPTS):
        before = _forgotten(kafka)
        try:
            attempt(number)
        except (AssertionError, HeadraceError):
            if _forgotten(kafka) == before:
                raise
        else:
            return
    pytest.fail(f"Kafka forgot the markers of transactions in each of {ATTEMPTS} attempts")


def _forgotten(kafka: LocalKafka) -> int:
    return kafka.log_path.read_text("utf-8").count(_CONFESSION)
