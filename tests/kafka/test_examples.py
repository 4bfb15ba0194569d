"""The example of a service that embeds flows, run as its users run it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kafka

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedded.py"


def test_the_embedding_example_runs_and_says_how_far_it_is(kafka_brokers: str) -> None:
    service = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLE), kafka_brokers], stdout=subprocess.PIPE, text=True
    )
    try:
        assert service.stdout
        line = service.stdout.readline()
    finally:
        service.kill()
        service.communicate()

    assert line == "0 records read, 0 written\n"
