"""State asked for over HTTP: two worker processes on a real broker, of which either answers for every key."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.address import Address, parse_address
from headrace.runtime.contracts.broker import ProducerSettings
from headrace.runtime.errors import RetriableError
from headrace.runtime.http.client import Answer, ask
from headrace.runtime.worker.client_ids import address_of

pytestmark = pytest.mark.kafka

TopicFactory = Callable[..., str]
TOKEN = "of-all-the-workers"
WAIT_S = 90.0
KEYS = [f"user/{number}" for number in range(40)]


class Workers:
    """Worker processes of one flow, which counts records per key in `totals`."""

    def __init__(self, brokers: str, folder: Path, source: str, sink: str) -> None:
        self.brokers = brokers
        self.flow = source
        self._folder = folder
        self._admin = KafkaBroker(brokers).admin()
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "flow.yaml").write_text(
            f"""
            name: {source}
            stages:
              - {{name: in, action: kafka, config: {{topics: {source}}}, out: totals}}
              - {{name: totals, action: reduce, config: {{aggregate: {{n: count(), sum: sum(event.a)}}}}, out: sink}}
              - {{name: sink, action: publish, config: {{topic: {sink}}}}}
            """
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_STATE_HOME": str(self._folder / "state"),
            "HEADRACE_BROKERS": self.brokers,
            "HEADRACE_HTTP_TOKEN": TOKEN,
            "HEADRACE_SESSION_TIMEOUT": "6s",
        }

    def start(self) -> None:
        words = ["run", "flow.yaml", "--http", "127.0.0.1:0", "--log-level", "warning"]
        self.started.append(
            subprocess.Popen(
                [sys.executable, "-m", "headrace", *words],
                cwd=self._folder,
                env=self.environment,
            )
        )

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "headrace", *words],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )

    def sharing(self) -> list[Address]:
        """Where those members answer that have partitions."""
        members = self._admin.group_members(f"headrace.{self.flow}")
        found = [address_of(one.client_id) for one in members if one.assignment]
        return [parse_address(one) for one in found if one is not None]

    def send(self, keys: list[str]) -> None:
        producer = KafkaBroker(self.brokers).producer(ProducerSettings(client_id="test"))
        for number, key in enumerate(keys):
            producer.produce(self.flow, json.dumps({"a": number}).encode(), key.encode())
        producer.flush(20)
        producer.close()

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        self._admin.close()


@pytest.fixture
def workers(kafka_brokers: str, tmp_path: Path, topic: TopicFactory) -> Iterator[Workers]:
    made = Workers(kafka_brokers, tmp_path, topic("visits", partitions=4), topic("totals"))
    yield made
    made.close()


def until(is_so: Callable[[], Any]) -> Any:
    """Wait until something is so, and return it."""
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        found = is_so()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail("it did not come to that in time")


def told(worker: Address, target: str) -> Answer | None:
    """What a worker answers; None while it cannot."""
    try:
        answer = ask(worker, target, token=TOKEN)
    except RetriableError:
        return None
    return answer if answer.status == HTTPStatus.OK else None


def all_keys(worker: Address, flow: str) -> dict[str, Any] | None:
    """What is told of every key, when all of them are there."""
    answer = told(worker, f"/state/{flow}/totals?limit=1000")
    items = json.loads(answer.body)["items"] if answer is not None else []
    found = {item["key"]: item["entries"]["value"] for item in items}
    return found if found.keys() == set(KEYS) else None


def test_either_of_two_processes_answers_for_every_key_and_the_one_that_is_left_for_all(
    workers: Workers,
) -> None:
    workers.start()
    workers.start()
    until(lambda: len(workers.sharing()) == 2)
    workers.send(KEYS)
    expected = {key: {"n": 1, "sum": number} for number, key in enumerate(KEYS)}

    for worker in workers.sharing():
        assert until(partial(all_keys, worker, workers.flow)) == expected
        for key in KEYS:
            answer = until(partial(told, worker, f"/state/{workers.flow}/totals/{key}"))
            assert json.loads(answer.body)["entries"] == {"value": expected[key]}
        assert ask(worker, "/state", token=None).status == HTTPStatus.UNAUTHORIZED

    table = workers.call("state", workers.flow, "totals", KEYS[7])
    listed = workers.call("state", workers.flow, "totals", "--json")
    missing = workers.call("state", workers.flow, "totals", "nobody")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["key", "n", "sum"],
        [KEYS[7], "1", "7"],
    ]
    assert [json.loads(line)["key"] for line in listed.stdout.splitlines()] == sorted(KEYS)
    assert (missing.returncode, "nothing is stored" in missing.stderr) == (1, True)

    workers.started[0].kill()
    workers.started[0].wait()
    until(lambda: len(workers.sharing()) == 1)
    (left,) = workers.sharing()
    assert until(lambda: all_keys(left, workers.flow)) == expected


def test_workers_without_http_are_told_how_to_be_asked(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = workers.call("state", workers.flow, "totals")
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", "run", "flow.yaml", "--log-level", "warning"],
        cwd=workers._folder,
        env=workers.environment,
    )
    workers.started.append(process)
    group = f"headrace.{workers.flow}"
    until(lambda: workers._admin.group_members(group))

    silent = workers.call("state", workers.flow, "totals")

    assert (nobody.returncode, "no worker of group" in nobody.stderr) == (4, True)
    assert (silent.returncode, "--http 127.0.0.1:8080" in silent.stderr) == (4, True)
