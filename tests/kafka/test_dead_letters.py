"""Dead letters on a real broker: listed, mended, sent back, given up."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
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


CALLING = """
name: {name}
stages:
  - {{name: ask, action: manual, out: noted}}
  - {{name: noted, action: publish, config: {{topic: {name}-noted}}, out: [told, priced]}}
  - name: told
    action: http
    config: {{method: POST, url: "http://127.0.0.1:{port}/", body: "${{event}}", into: answer}}
    retry: {{attempts: 1}}
    out: sink
  - {{name: priced, action: map, config: {{set: {{price: event.amount * 2}}}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: {name}-out}}}}
"""


@contextmanager
def answering(answers: list[int]) -> Iterator[tuple[int, list[Any]]]:
    """A server that answers requests with these statuses in turn; its port, and what it was sent."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(answers.pop(0))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'"thanks"')

        def log_message(self, *_: Any) -> None:
            """Tests have their own words."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], bodies
        finally:
            server.shutdown()
            thread.join()


def test_a_failed_call_and_what_is_beside_it_go_on_at_their_stages_and_nothing_else_is_repeated(
    kafka_brokers: str, call: Call, name: str
) -> None:
    with answering([500, 200]) as (port, bodies):
        Path("flow.yaml").write_text(CALLING.format(name=name, port=port))
        call("trigger", "flow.yaml", "--data", '{"amuont": 2}', "--key", "k")
        call("run", "flow.yaml", "--until-idle", "3s")
        assert {one["stage"] for one in letters(call, name)} == {"told", "priced"}
        (priced,) = (one for one in letters(call, name) if one["stage"] == "priced")
        call("dlq", "edit", name, priced["id"], "--field", "amount=2")

        call("dlq", "replay", name, "--all", "--yes")
        for _ in range(2):  # the second one has nothing left to do
            call("run", "flow.yaml", "--until-idle", "3s")

    assert bodies == [{"amuont": 2}] * 2
    found = values(kafka_brokers, f"{name}-out")
    assert sorted(found, key=len) == [
        {"amuont": 2, "answer": "thanks"},
        {"amuont": 2, "amount": 2, "price": 4},
    ]
    assert len(values(kafka_brokers, f"{name}-noted")) == 1
    assert letters(call, name) == []
    admin = KafkaBroker(kafka_brokers).admin()
    committed = admin.group_positions(f"headrace.{name}")
    assert sum(at for one, at in committed.items() if one.topic.endswith(".ask.replay")) >= 2
    admin.close()
