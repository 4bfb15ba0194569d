"""Documents that change while there is state in a real Kafka and in RocksDB, by the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import ProducerSettings, TopicPartition
from tests.conftest import TopicFactory

pytestmark = pytest.mark.kafka

KEYS = 30_000
Headrace = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def headrace(tmp_path: Path, kafka_brokers: str) -> Headrace:
    """Runs the command line in a folder of its own."""
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HEADRACE_BROKERS": kafka_brokers,
    }

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "headrace", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


class Sales:
    """A flow that sums up amounts per user, and its topics."""

    def __init__(self, folder: Path, brokers: str, topic: TopicFactory) -> None:
        self._folder = folder
        self._broker = KafkaBroker(brokers)
        self.source, self.sink = topic("orders", partitions=2), topic("totals", partitions=2)
        self.write("total: sum(event.amount), high: max(event.amount)")

    def write(self, aggregate: str, key: str = "event.user", stage: str = "totals") -> None:
        name = stage.partition(",")[0]
        (self._folder / "sales.yaml").write_text(
            f"""
            name: {self.source}
            stages:
              - {{name: in, action: kafka, config: {{topics: {self.source}}}, out: {name}}}
              - {{name: {stage}, action: reduce, config: {{key: {key}, aggregate: {{{aggregate}}}}}, out: sink}}
              - {{name: sink, action: publish, config: {{topic: {self.sink}}}}}
            """
        )

    def send(self, *users: str) -> None:
        producer = self._broker.producer(ProducerSettings(client_id="test"))
        for i, user in enumerate(users):
            value = json.dumps({"user": user, "shop": "all", "amount": 2})
            producer.produce(self.source, value.encode(), str(i))
            if i % 10_000 == 0:
                producer.flush(30)
        producer.flush(30)
        producer.close()

    def results(self) -> Mapping[str, Any]:
        """The last result of each key."""
        admin, reader = self._broker.admin(), self._broker.reader("test", {})
        partitions = [TopicPartition(self.sink, i) for i in range(2)]
        ends = admin.offsets(partitions, "latest")
        reader.assign(dict.fromkeys(partitions, 0))
        found: dict[str, Any] = {}
        while reader.positions() != ends:
            for message in reader.read(10_000, 1):
                result = json.loads(message.value() or b"")
                found[result["key"]] = result
        reader.close()
        admin.close()
        return found


@pytest.fixture
def sales(tmp_path: Path, kafka_brokers: str, topic: TopicFactory) -> Sales:
    return Sales(tmp_path, kafka_brokers, topic)


def run(headrace: Headrace) -> None:
    result = headrace("run", "sales.yaml", "--until-idle", "3s")
    assert result.returncode == 0, result.stderr


def statuses(headrace: Headrace) -> dict[str, str]:
    document = json.loads(headrace("plan", "sales.yaml", "--against", "group", "--json").stdout)
    return {one["stage"]: one["status"] for flow in document["flows"] for one in flow["stages"]}


def test_what_is_summed_up_goes_on_under_another_name_and_with_another_aggregate(
    headrace: Headrace, sales: Sales
) -> None:
    sales.send(*(f"user-{i}" for i in range(KEYS)))
    run(headrace)

    sales.write("total: sum(event.amount), n: count()", stage="sums, renamed_from: totals")
    told = statuses(headrace)
    sales.send(*(f"user-{i}" for i in range(0, KEYS, 3)))
    run(headrace)

    results = sales.results()
    assert told == {"sums": "migrated"}
    assert statuses(headrace) == {"sums": "kept"}
    assert len(results) == KEYS
    again = [results[f"user-{i}"] for i in range(0, KEYS, 3)]
    assert {(one["total"], one["n"], "high" in one) for one in again} == {(4, 1, False)}


def test_state_of_another_key_is_refused_until_it_is_thrown_away(
    headrace: Headrace, sales: Sales
) -> None:
    sales.send("anna", "anna")
    run(headrace)
    sales.write("total: sum(event.amount), high: max(event.amount)", key="event.shop")

    told, refused = statuses(headrace), headrace("run", "sales.yaml", "--until-idle", "3s")
    reset = headrace("reset", "sales.yaml", "--stage", "totals", "--yes")
    sales.send("anna")
    run(headrace)

    assert told == {"totals": "rebuild"}
    assert refused.returncode == 3, refused.stderr
    assert "sales.yaml:5: stage 'totals' cannot use the state that it has" in refused.stderr
    assert "key was event.user, is event.shop" in refused.stderr
    assert reset.returncode == 0, reset.stderr
    results = sales.results()
    assert (results["anna"]["total"], results["all"]["total"]) == (4, 2)
