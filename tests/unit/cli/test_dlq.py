"""`headrace dlq`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.cli.dlq import dlq
from headrace.runtime.clock import ManualClock, SystemClock
from headrace.runtime.contracts.broker import Message, ProducerSettings, TopicPartition
from tests.unit.cli.conftest import Call, send
from tests.unit.running import Running, plans_of

FLOW = """
name: linked
stages:
  - {name: arrivals, action: kafka, config: {topics: orders}, out: noted}
  - {name: noted, action: publish, config: {topic: totals}, out: priced}
  - {name: priced, action: map, link: topic, config: {set: {price: event.amount * 2}}, out: sink}
  - {name: sink, action: publish, config: {topic: results}}
"""
FUSED = FLOW.replace("link: topic, ", "").replace("linked", "fused")
DLQ = "headrace.linked.dead-letters"


def records(broker: MemoryBroker, topic: str) -> list[Message]:
    reader = broker.reader("test")
    count = broker.admin().topics()[topic]
    every = [TopicPartition(topic, i) for i in range(count)]
    reader.assign(broker.admin().offsets(every, "earliest"))
    return reader.read(1_000, 0)


def values(broker: MemoryBroker, topic: str) -> list[Any]:
    return [json.loads(one.value() or b"null") for one in records(broker, topic)]


Run = Callable[..., None]


@pytest.fixture
def run(broker: MemoryBroker) -> Run:
    """Lets a flow work until nothing is left to do."""
    made: dict[str, Running] = {}

    def work(name: str = "linked") -> None:
        if name not in made:
            made[name] = Running(
                plans_of(FLOW if name == "linked" else FUSED),
                clock=ManualClock(SystemClock().now_ms()),
                broker=broker,
            )
        made[name].drain()

    return work


@pytest.fixture
def failed(run: Run, broker: MemoryBroker, tmp_path: Path) -> MemoryBroker:
    """A flow in which of three records one failed behind a link topic, and one at the trigger."""
    (tmp_path / "linked.yaml").write_text(FLOW)
    (tmp_path / "fused.yaml").write_text(FUSED)
    send(broker, "orders", {"amount": 1}, {"count": 2}, "no JSON")
    run()
    return broker


def listed(call: Call, *words: str, flow: str = "linked") -> list[Any]:
    result = call("dlq", "ls", flow, "--json", *words)
    assert result.exit_code == 0, result.output
    found: list[Any] = json.loads(result.stdout)["letters"]
    return found


def id_of(call: Call, stage: str, flow: str = "linked") -> str:
    (letter,) = listed(call, "--stage", stage, flow=flow)
    return str(letter["id"])


def test_ls_tells_stages_and_errors_and_counts(call: Call, failed: MemoryBroker) -> None:
    text = call("dlq", "ls", "linked").stdout

    assert "priced" in text
    assert "event has no field 'amount'" in text
    counts = json.loads(call("dlq", "ls", "linked", "--json").stdout)["counts"]
    assert {(one["stage"], one["count"]) for one in counts} == {("priced", 1), ("arrivals", 1)}


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        (("--stage", "priced"), ["priced"]),
        (("--error", "as json"), ["arrivals"]),
        (("--since", "1h"), ["arrivals", "priced"]),
        (("--before", "1h"), []),
        (("--limit", "0"), []),
    ],
)
def test_ls_chooses(
    call: Call, failed: MemoryBroker, words: tuple[str, ...], stages: list[str]
) -> None:
    assert sorted(one["stage"] for one in listed(call, *words)) == stages


def test_show_tells_everything(call: Call, failed: MemoryBroker) -> None:
    one = id_of(call, "priced")

    text = call("dlq", "show", "linked", one).stdout
    document = json.loads(call("dlq", "show", "linked.yaml", one, "--json").stdout)

    assert '"count": 2' in text
    assert document["source"]["topic"] == "headrace.linked.priced.link"
    assert document["run"].startswith("orders-")
    assert document["value"] == {"count": 2}


def test_an_edited_letter_goes_back_to_its_stage_alone(
    call: Call, failed: MemoryBroker, run: Run
) -> None:
    one = id_of(call, "priced")

    edited = call(
        "dlq", "edit", "linked", one, "--field", "amount=5", "--remove", "count", "--json"
    )
    new = json.loads(edited.stdout)["id"]
    replayed = call("dlq", "replay", "linked", new)

    assert replayed.exit_code == 0, replayed.output
    run()
    assert values(failed, "results") == [{"amount": 1, "price": 2}, {"amount": 5, "price": 10}]
    assert len(values(failed, "totals")) == 2
    assert [one["stage"] for one in listed(call)] == ["arrivals"]
    done = {one["done"]["how"] for one in listed(call, "--all", "--stage", "priced")}
    assert done == {"edited", "replayed"}


def test_a_replayed_record_keeps_its_run(call: Call, failed: MemoryBroker, run: Run) -> None:
    before = json.loads(call("dlq", "show", "linked", id_of(call, "priced"), "--json").stdout)
    call("dlq", "replay", "linked", before["id"])
    run()

    (after,) = listed(call, "--stage", "priced")

    assert after["id"] != before["id"]
    assert after["run"] == before["run"]


def test_a_trigger_gets_its_record_again(call: Call, failed: MemoryBroker, run: Run) -> None:
    one = id_of(call, "arrivals")
    call("dlq", "edit", "linked", one, "--value", '{"amount": 7}')
    assert len(listed(call, "--stage", "arrivals")) == 1

    result = call("dlq", "replay", "linked", "--stage", "arrivals", "--yes")

    run()
    again = records(failed, "orders")[-1]
    assert result.exit_code == 0, result.output
    assert {name for name, _ in again.headers() or ()} == {
        "headrace-replay",
        "headrace-replayed-run",
    }
    assert {"amount": 7, "price": 14} in values(failed, "results")


def test_what_would_be_done_again_is_refused_unless_asked_for(
    call: Call, failed: MemoryBroker, run: Run
) -> None:
    run("fused")
    one = id_of(call, "priced", "fused")
    count = len(values(failed, "totals"))

    refused = call("dlq", "replay", "fused", one, "--from-source")

    assert refused.exit_code == 1
    assert "'noted' would work on the record again" in refused.output
    assert call("dlq", "replay", "fused", one, "--from-source", "--repeat").exit_code == 0
    run("fused")
    assert len(values(failed, "totals")) == count + 1


def test_nothing_is_replayed_twice(call: Call, failed: MemoryBroker) -> None:
    one = id_of(call, "arrivals")
    call("dlq", "replay", "linked", one)

    result = call("dlq", "replay", "linked", one)

    assert result.exit_code == 1
    assert "no open dead letter" in result.output
    assert len(records(failed, "orders")) == 4


def test_a_replay_that_cannot_be_committed_writes_nothing(call: Call, failed: MemoryBroker) -> None:
    failed.faults.fail_next_commit()

    result = call("dlq", "replay", "linked", "--all", "--yes")

    assert result.exit_code == 1
    assert len(records(failed, "orders")) == 3
    assert len(listed(call)) == 2


def test_purged_letters_are_gone(call: Call, failed: MemoryBroker) -> None:
    result = call("dlq", "purge", "linked", "--stage", "arrivals", "--yes")

    assert "1 dead letter given up" in result.stdout
    assert [one["stage"] for one in listed(call)] == ["priced"]
    call("dlq", "purge", "linked", "--all", "--yes")
    assert listed(call, "--all") == []
    assert records(failed, DLQ) == []
    latest = {one.key(): one.value() for one in records(failed, f"{DLQ}.done")}
    assert set(latest.values()) == {None}


@pytest.mark.parametrize("command", ["replay", "purge"])
def test_nothing_is_done_without_a_choice(call: Call, failed: MemoryBroker, command: str) -> None:
    result = call("dlq", command, "linked")

    assert result.exit_code == 2
    assert "--all" in result.output


def test_a_purge_asks_first(call: Call, failed: MemoryBroker) -> None:
    result = call("dlq", "purge", "linked", "--all")

    assert result.exit_code == 130
    assert len(listed(call)) == 2


def test_the_editor_changes_a_letter(
    call: Call, failed: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\nsed -i s/count/amount/ $1\ntouch -d '+1 hour' $1\n")
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))

    result = call("dlq", "edit", "linked", id_of(call, "priced"))

    assert result.exit_code == 0, result.output
    (letter,) = listed(call, "--stage", "priced")
    assert letter["value"] == {"amount": 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "linked", "9"), "names no dead letter"),
        (("show", "linked", "0-999"), "there is no dead letter 0-999"),
        (("ls", "likned"), "did you mean 'headrace.linked.dead-letters'"),
        (("ls", "linked", "--since", "soon"), "is no time"),
        (("ls", "linked", "--error", "("), "is no regular expression"),
    ],
)
def test_what_is_not_there_is_told(
    call: Call, failed: MemoryBroker, words: tuple[str, ...], said: str
) -> None:
    result = call("dlq", *words)

    assert result.exit_code != 0
    assert said in result.output


def test_what_letters_hold_does_nothing_to_a_terminal(call: Call, failed: MemoryBroker) -> None:
    evil = "\x1b[2J"
    producer = failed.producer(ProducerSettings(client_id="test"))
    headers = [("headrace-stage", f"s{evil}".encode()), ("headrace-error", f"e{evil}".encode())]
    producer.produce(DLQ, b"{}", evil.encode(), 0, headers=[*headers, (evil, evil.encode())])
    producer.flush(1)
    (letter,) = [one for one in listed(call) if one["stage"].startswith("s")]

    texts = [call("dlq", "ls", "linked").stdout, call("dlq", "show", "linked", letter["id"]).stdout]

    assert all("\x1b" not in text and "\\x1b[2J" in text for text in texts)


def test_doctor_counts_the_letters_that_are_not_dealt_with(
    call: Call, failed: MemoryBroker
) -> None:
    def told() -> str:
        checks = json.loads(call("doctor", "linked.yaml", "--json").stdout)["checks"]
        return str(next(one["text"] for one in checks if one["name"] == "linked: dead letters"))

    before = told()
    call("dlq", "purge", "linked", "--stage", "priced", "--yes")

    assert before.startswith("2 wait in")
    assert told().startswith("1 wait in")


def test_the_page_says_which_commands_ask_and_how_not_to_be_asked() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dead_letters.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and "--yes" in line]
    told = {row.split("`")[1].split()[0] for row in rows}
    context = click.Context(dlq)
    commands = {name: dlq.get_command(context, name) for name in dlq.list_commands(context)}
    asking = {
        name
        for name, command in commands.items()
        if command is not None and any(one.name == "is_sure" for one in command.params)
    }

    assert told == asking == {"replay", "purge"}
