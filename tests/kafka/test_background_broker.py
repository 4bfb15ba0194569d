"""A broker that lives on by itself, and how the next command finds it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.connectors.local_kafka import LocalKafkaSettings, LocalKafkaStartError
from headrace.connectors.local_kafka.background import STATE_FILE, Background
from headrace.connectors.local_kafka.probe import answering_cluster
from headrace.connectors.local_kafka.process import DetachedProcess, process_identity

pytestmark = pytest.mark.kafka


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    variables = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    yield variables
    Background(variables).stop()


def ignore(_line: str) -> None:
    pass


START = """
import sys
from headrace.connectors.local_kafka import LocalKafkaSettings
from headrace.connectors.local_kafka.background import Background
from headrace.connectors.local_kafka.places import environment_or_own
Background(environment_or_own(None)).start(LocalKafkaSettings(ephemeral=False), print)
"""


def test_a_broker_outlives_the_process_that_started_it_and_is_stopped_by_another(
    environment: dict[str, str], tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-c", START], env=environment, check=True, stdout=subprocess.DEVNULL
    )

    background = Background(environment)
    found = background.find()
    assert found is not None
    assert answering_cluster(found.port) is not None
    assert found.data == tmp_path / "state" / "headrace" / "kafka-data"

    assert background.stop() == found
    assert background.find() is None
    assert process_identity(found.pid) is None
    assert background.reset(None) == found.data
    assert not found.data.exists()


def test_a_second_broker_is_refused_with_the_address_of_the_first(
    environment: dict[str, str],
) -> None:
    background = Background(environment)
    first = background.start(LocalKafkaSettings(), ignore)

    with pytest.raises(LocalKafkaStartError, match=f"runs already on {first.brokers}"):
        background.start(LocalKafkaSettings(), ignore)


def test_what_a_killed_ephemeral_broker_left_is_cleared_away(
    environment: dict[str, str], tmp_path: Path
) -> None:
    background = Background(environment)
    broker = background.start(LocalKafkaSettings(), ignore)
    assert broker.data.exists()

    process = DetachedProcess(broker.pid, process_identity(broker.pid) or "")
    process.signal(signal.SIGKILL)
    assert process.wait(20)

    assert background.find() is None
    assert not broker.data.exists()
    assert not (tmp_path / "state" / "headrace" / STATE_FILE).exists()


def test_a_damaged_state_file_counts_as_no_broker(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "state" / "headrace").mkdir(parents=True)
    (tmp_path / "state" / "headrace" / STATE_FILE).write_text("{")

    assert Background(environment).find() is None


def test_a_broker_that_does_not_start_leaves_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    background = Background(environment)

    with pytest.raises(LocalKafkaStartError, match=r"num\.partitions"):
        background.start(LocalKafkaSettings(properties={"num.partitions": "none"}), ignore)

    assert background.find() is None
