"""The command line as a process of its own, on a real broker."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.cli.lag import lags
from headrace.runtime.contracts.broker import ProducerSettings

pytestmark = pytest.mark.kafka

TopicFactory = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, kafka_brokers: str) -> Iterator[Start]:
    """Starts `headrace` in a folder of its own; what is left running at the end is killed."""
    started: list[subprocess.Popen[str]] = []
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HEADRACE_BROKERS": kafka_brokers,
    }

    def begin(*words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def names(tmp_path: Path, topic: TopicFactory) -> tuple[str, str]:
    """A source and a sink, and `flow.yaml`, a flow from one to the other."""
    source, sink = topic("orders", partitions=4), topic("totals", partitions=4)
    (tmp_path / "flow.yaml").write_text(
        f"""
        name: {source}
        stages:
          - {{name: arrivals, action: kafka, config: {{topics: {source}}}, out: large}}
          - {{name: large, action: filter, config: {{where: event.amount > 100}}, out: totals}}
          - {{name: totals, action: publish, config: {{topic: {sink}}}}}
        """
    )
    return source, sink


def send(brokers: str, topic: str, amounts: range) -> None:
    producer = KafkaBroker(brokers).producer(ProducerSettings(client_id="test"))
    for amount in amounts:
        producer.produce(topic, json.dumps({"amount": amount}).encode(), key=str(amount).encode())
    producer.flush(20)
    producer.close()


def lines_until(process: "subprocess.Popen[str]", is_last: Callable[[Any], bool]) -> list[Any]:
    """The JSON lines of a process up to the first that `is_last`."""
    found = []
    assert process.stdout
    for line in process.stdout:
        found.append(json.loads(line))
        if is_last(found[-1]):
            return found
    pytest.fail(f"the process ended before: {found[-1:]}")


def has_read(count: int) -> Callable[[Any], bool]:
    return lambda line: line.get("records_read", -1) >= count and line["type"] == "progress"


def test_run_until_idle_reads_everything_once(
    start: Start, names: tuple[str, str], kafka_brokers: str
) -> None:
    send(kafka_brokers, names[0], range(200))

    first = start("run", "flow.yaml", "--until-idle", "2s", "--json")
    first_lines = [json.loads(line) for line in first.communicate(timeout=60)[0].splitlines()]
    second = start("run", "flow.yaml", "--until-idle", "1s", "--json")
    second_lines = [json.loads(line) for line in second.communicate(timeout=60)[0].splitlines()]

    assert first.returncode == second.returncode == 0
    assert first_lines[-1]["records_read"] == 200
    assert first_lines[-1]["flows"][names[0]]["written"] == {"totals": 99}
    assert second_lines[-1]["records_read"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_that_commits_first(
    start: Start, names: tuple[str, str], kafka_brokers: str, number: int, code: int
) -> None:
    send(kafka_brokers, names[0], range(200))
    process = start("run", "flow.yaml", "--json", "--commit-interval", "30s")
    lines_until(process, has_read(200))

    process.send_signal(number)
    last = lines_until(process, lambda line: line["type"] == "summary")[-1]

    assert process.wait(60) == code
    assert last["records_read"] == 200
    listed = start("topics", "flow.yaml", "--json").communicate(timeout=60)[0]
    assert json.loads(listed)["groups"][0]["lag"] == 0


def test_topics_and_doctor_know_the_flow(
    start: Start, names: tuple[str, str], kafka_brokers: str
) -> None:
    send(kafka_brokers, names[0], range(10))

    topics = json.loads(start("topics", "flow.yaml", "--json").communicate(timeout=60)[0])
    doctor = start("doctor", "flow.yaml", "--json")
    checks = json.loads(doctor.communicate(timeout=60)[0])["checks"]

    records = {topic["name"]: topic["records"] for topic in topics["topics"]}
    assert (records[names[0]], records[names[1]]) == (10, 0)
    assert doctor.returncode == 0
    assert {check["status"] for check in checks if check["name"].startswith(names[0])} == {"ok"}


def test_no_broker_is_exit_code_5(start: Start, names: tuple[str, str]) -> None:
    process = start("run", "flow.yaml", "--json", "--brokers", "127.0.0.1:1")

    output, _ = process.communicate(timeout=60)

    assert process.returncode == 5
    assert json.loads(output.splitlines()[-1])["error"]["type"] == "BrokerUnavailableError"


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in listed.split()]


def test_processes_share_the_work_and_one_that_is_killed_comes_back(
    start: Start, names: tuple[str, str], kafka_brokers: str
) -> None:
    process = start("run", "flow.yaml", "--json", "--processes", "2")
    lines_until(process, lambda line: line["partitions"] == 4)
    send(kafka_brokers, names[0], range(200))
    lines_until(process, has_read(200))

    first, second = children_of(process)
    os.kill(first, signal.SIGKILL)
    lines_until(
        process, lambda line: second in children_of(process) and len(children_of(process)) == 2
    )
    lines_until(process, lambda line: line["partitions"] == 4)
    send(kafka_brokers, names[0], range(200, 300))
    lines_until(process, has_read(300))
    process.send_signal(signal.SIGTERM)
    lines_until(process, lambda line: line["type"] == "summary")

    assert process.wait(60) == 0
    listed = start("topics", "flow.yaml", "--json").communicate(timeout=60)[0]
    assert json.loads(listed)["groups"][0]["lag"] == 0


def test_processes_end_when_their_supervisor_is_killed(
    start: Start, names: tuple[str, str]
) -> None:
    process = start("run", "flow.yaml", "--json", "--processes", "2")
    lines_until(process, lambda line: line["partitions"] == 4)
    descriptors = [os.pidfd_open(child) for child in children_of(process)]

    process.kill()

    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0], "a worker outlived its supervisor"
        os.close(descriptor)


def test_an_error_of_one_process_is_that_of_all(
    start: Start, names: tuple[str, str], kafka_brokers: str, tmp_path: Path
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(path.read_text().replace("out: totals", "out: totals, on_error: fail"))
    send(kafka_brokers, names[0], range(10))
    producer = KafkaBroker(kafka_brokers).producer(ProducerSettings(client_id="test"))
    producer.produce(names[0], b"{}")
    producer.flush(20)
    producer.close()

    process = start("run", "flow.yaml", "--json", "--processes", "2")
    output, _ = process.communicate(timeout=90)

    assert process.returncode == 6
    assert json.loads(output.splitlines()[-1])["error"]["type"] == "FlowStoppedError"


def test_what_transactions_leave_behind_is_no_lag(
    start: Start, names: tuple[str, str], kafka_brokers: str, tmp_path: Path
) -> None:
    source, sink = names
    (tmp_path / "second.yaml").write_text(
        f"name: {sink}\nstages:\n- {{name: in, action: kafka, config: {{topics: {sink}}}, out: all}}\n"
        "- {name: all, action: noop}\n"
    )
    send(kafka_brokers, source, range(120, 140))
    for flow in ("flow.yaml", "second.yaml"):
        assert start("run", flow, "--until-idle", "3s").wait(60) == 0

    found = start("topics", "second.yaml", "--json")

    (group,) = json.loads(found.communicate(timeout=60)[0])["groups"]
    assert (group["lag"], group["partitions"] != []) == (0, True)
    with_offsets = KafkaBroker(kafka_brokers).admin()
    assert sum(sum(one.values()) for one in lags(with_offsets, [f"headrace.{sink}"]).values()) > 0
    with_offsets.close()
