"""Dead letters on a real broker: listed, mended, sent back, given up."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.cli.main import headrace
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from tests.crash.reading import read_committed

pytestmark = pytest.mark.kafka

FLOW = """
name: {name}
stages:
  - {{name: ask, action: manual, out: noted}}
  - {{name: noted, action: publish, config: {{topic: {name}-noted}}, out: priced}}
  - {{name: priced, action: map, link: topic, config: {{set: {{price: event.amount * 2}}}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-out}}}}
"""

Call = Callable[..., Result]


@pytest.fixture
def name(kafka_brokers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A flow of this name, in the current folder, and its topics."""
    name = f"letters-{uuid.uuid4().hex[:8]}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_BROKERS", kafka_brokers)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "flow.yaml").write_text(FLOW.format(name=name))
    admin = KafkaBroker(kafka_brokers).admin()
    admin.create([NewTopic(name=f"{name}-{sink}", partitions=1) for sink in ("noted", "out")])
    admin.close()
    return name


@pytest.fixture
def call() -> Call:
    runner = CliRunner()

    def invoke(*words: str) -> Result:
        result = runner.invoke(headrace, words)
        assert result.exit_code == 0, result.output
        return result

    return invoke


def values(brokers: str, topic: str) -> list[Any]:
    found = []
    for record in read_committed(brokers, [topic]):
        if record is None:
            break
        found.append(record.event)
    return found


def letters(call: Call, name: str) -> list[Any]:
    found: list[Any] = json.loads(call("dlq", "ls", name, "--json").stdout)["letters"]
    return found


def test_a_letter_is_mended_and_sent_back_to_its_stage(
    kafka_brokers: str, call: Call, name: str
) -> None:
    call("trigger", "flow.yaml", "--data", '{"amount": 1}', "--key", "k")
    call("trigger", name, "--data", '{"amuont": 2}', "--key", "k")
    call("run", "flow.yaml", "--until-idle", "3s")
    (letter,) = letters(call, name)
    edited = call("dlq", "edit", name, letter["id"], "--value", '{"amount": 2}', "--json")

    call("dlq", "replay", name, json.loads(edited.stdout)["id"])

    call("run", "flow.yaml", "--until-idle", "3s")
    assert values(kafka_brokers, f"{name}-out") == [
        {"amount": 1, "price": 2},
        {"amount": 2, "price": 4},
    ]
    assert len(values(kafka_brokers, f"{name}-noted")) == 2
    assert letters(call, name) == []


def test_letters_that_are_given_up_are_deleted(kafka_brokers: str, call: Call, name: str) -> None:
    for _ in range(3):
        call("trigger", name, "--data", "{}")
    call("run", "flow.yaml", "--until-idle", "3s")
    assert len(letters(call, name)) == 3

    call("dlq", "purge", name, "--all", "--yes")

    assert letters(call, name) == []
    admin = KafkaBroker(kafka_brokers).admin()
    topic = f"headrace.{name}.dead-letters"
    every = [TopicPartition(topic, i) for i in range(admin.topics()[topic])]
    assert admin.offsets(every, "earliest") == admin.offsets(every, "latest")
    admin.close()


def test_waiting_for_a_run_ends_when_the_flow_has_committed_it(
    kafka_brokers: str, call: Call, name: str
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "headrace", "run", "flow.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asked = call(
            "trigger", name, "--data", '{"amount": 1}', "--wait", "--timeout", "60s", "--json"
        )
    finally:
        worker.terminate()
        worker.wait(60)

    run = json.loads(asked.stdout)
    admin = KafkaBroker(kafka_brokers).admin()
    where = TopicPartition(run["topic"], run["partition"])
    assert admin.group_positions(f"headrace.{name}")[where] > run["offset"]
    assert values(kafka_brokers, f"{name}-noted") == [{"amount": 1}]
    admin.close()
