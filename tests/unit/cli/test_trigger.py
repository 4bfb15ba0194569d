"""`headrace trigger`."""

import json
from pathlib import Path

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import Message, TopicPartition
from tests.unit.cli.conftest import Call

ASKED = """
name: asked
input: {type: object, required: [day]}
stages:
  - {name: ask, action: manual, out: sink}
  - {name: orders, action: kafka, config: {topics: orders}, out: sink}
  - {name: many, action: kafka, config: {topics: [orders, totals]}, out: sink}
  - {name: sink, action: publish, config: {topic: totals}}
"""


def records(broker: MemoryBroker, topic: str) -> list[Message]:
    reader = broker.reader("test")
    count = broker.admin().topics()[topic]
    every = [TopicPartition(topic, i) for i in range(count)]
    reader.assign(broker.admin().offsets(every, "earliest"))
    return reader.read(1_000, 0)


@pytest.fixture(autouse=True)
def asked(call: Call, tmp_path: Path) -> None:
    (tmp_path / "asked.yaml").write_text(ASKED)


def test_a_flow_is_triggered_through_its_manual_stage(call: Call, broker: MemoryBroker) -> None:
    words = ("--data", '{"day": "2026-01-31"}', "--key", "k", "--header", "by=me", "--json")

    result = call("trigger", "asked.yaml", *words)

    (message,) = records(broker, "asked.ask")
    assert result.exit_code == 0, result.output
    assert json.loads(message.value() or b"") == {"day": "2026-01-31"}
    assert (message.key(), message.headers()) == (b"k", [("by", b"me")])
    run = f"asked.ask-{message.partition()}-{message.offset()}"
    assert json.loads(result.stdout)["run"] == run


def test_a_flow_is_found_by_its_name(call: Call, broker: MemoryBroker) -> None:
    result = call("trigger", "orders", "--data", '{"amount": 200}')

    assert result.exit_code == 0, result.output
    assert len(records(broker, "orders")) == 1


def test_a_stage_and_a_topic_may_be_named(call: Call, broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "day.json").write_text('{"day": 1}')

    result = call("trigger", "asked", "--stage", "many", "--topic", "totals", "--data", "@day.json")

    assert result.exit_code == 0, result.output
    assert len(records(broker, "totals")) == 1


def test_waiting_ends_when_the_flow_has_committed(call: Call, broker: MemoryBroker) -> None:
    call("trigger", "orders", "--data", '{"amount": 200}')
    ran = call("run", "orders.yaml", "--until-idle", "50ms")
    assert ran.exit_code == 0, ran.output

    done = call("trigger", "orders", "--data", '{"amount": 1}', "--wait", "--timeout", "10ms")

    assert done.exit_code == 1
    assert "no worker runs it" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("asked",), "day"),
        (("asked", "--data", "{"), "--data is no JSON"),
        (("asked", "--stage", "orderz"), "did you mean 'orders'"),
        (("asked", "--stage", "many", "--data", '{"day": 1}'), "name one with --topic"),
        (("asked", "--stage", "many", "--topic", "x", "--data", '{"day": 1}'), "does not read 'x'"),
        (("askd",), "did you mean 'asked'"),
        (("asked", "--data", "@nowhere.json"), "nowhere.json cannot be read"),
        (("asked", "--header", "x"), "must be NAME=VALUE"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    call: Call, broker: MemoryBroker, words: tuple[str, ...], said: str
) -> None:
    result = call("trigger", *words)

    assert result.exit_code == 2
    assert said in result.output
    assert records(broker, "orders") == []


def test_other_documents_in_the_folder_may_be_wrong(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text("name: other\nstagez: []\n")

    assert call("trigger", "asked", "--stage", "ask", "--data", '{"day": 1}').exit_code == 0
    assert call("trigger", "other").exit_code == 3
