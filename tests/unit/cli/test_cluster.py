"""The commands that look at a cluster."""

import json
from pathlib import Path

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import NewTopic
from tests.unit.cli.conftest import ORDERS, Call, send

DAY_MS = 86_400_000


def statuses(output: str) -> dict[str, str]:
    return {check["name"]: check["status"] for check in json.loads(output)["checks"]}


def test_topics_lists_the_cluster(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 1}, {"amount": 2})

    found = json.loads(call("topics", "--json").stdout)["topics"]

    assert {topic["name"]: topic["records"] for topic in found} == {"orders": 2, "totals": 0}


def test_topics_of_flows_have_roles_and_lag(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 200})
    call("run", "orders.yaml", "--until-idle", "50ms")
    send(broker, "orders", {"amount": 1}, {"amount": 2})

    result = call("topics", "orders.yaml", "--json")

    document = json.loads(result.stdout)
    roles = {topic["name"]: topic["roles"] for topic in document["topics"]}
    assert roles["orders"] == ["orders: source"]
    assert roles["headrace.orders.dead-letters"] == ["orders: dead letters"]
    (group,) = document["groups"]
    assert (group["group"], group["lag"]) == ("headrace.orders", 2)
    assert "not started" not in call("topics", "orders.yaml").stdout


def test_topics_says_which_are_missing(call: Call, broker: MemoryBroker) -> None:
    broker.admin().delete(["totals"])

    lines = call("topics", "orders.yaml").stdout.splitlines()

    assert any(line.startswith("totals ") and "missing" in line for line in lines)
    assert any("not started" in line for line in lines)


def test_plan_live_says_what_would_be_created_and_creates_nothing(
    call: Call, broker: MemoryBroker
) -> None:
    broker.admin().delete(["totals"])

    result = call("plan", "orders.yaml", "--live", "--json")

    document = json.loads(result.stdout)
    created = {topic["name"]: topic["partitions"] for topic in document["would_create"]}
    assert created == {"totals": 2, "headrace.orders.dead-letters": 2}
    assert list(broker.admin().topics()) == ["orders"]
    assert "run --create-topics would create" in call("plan", "orders.yaml", "--live").stdout


def test_plan_live_warns_of_records_that_are_older_than_their_sink_keeps(
    call: Call, broker: MemoryBroker
) -> None:
    broker.admin().delete(["orders", "totals"])
    kept = {"orders": "-1", "totals": str(DAY_MS)}
    broker.admin().create(
        [NewTopic(name=n, partitions=1, config={"retention.ms": r}) for n, r in kept.items()]
    )
    send(broker, "orders", {"amount": 1}, timestamp=1_000)

    (warning,) = json.loads(call("plan", "orders.yaml", "--live", "--json").stdout)["live_warnings"]

    assert "'totals', which keeps records for 1d" in warning
    assert "1 in 'orders'" in warning


def test_doctor_is_content_with_a_cluster_that_has_all(call: Call, broker: MemoryBroker) -> None:
    call("run", "orders.yaml", "--until-idle", "50ms")

    result = call("doctor", "orders.yaml", "--json")

    assert result.exit_code == 0
    found = statuses(result.stdout)
    assert found["orders: topics"] == found["cluster"] == "ok"
    assert set(found.values()) <= {"ok", "warn"}


def test_doctor_fails_where_a_topic_is_missing(call: Call, broker: MemoryBroker) -> None:
    broker.admin().delete(["totals"])

    result = call("doctor", "orders.yaml", "--json")

    assert result.exit_code == 1
    assert statuses(result.stdout)["orders: topics"] == "fail"


def test_doctor_fails_where_the_sink_would_delete_what_is_written(
    call: Call, broker: MemoryBroker
) -> None:
    broker.admin().delete(["orders", "totals"])
    kept = {"orders": "-1", "totals": str(DAY_MS)}
    broker.admin().create(
        [NewTopic(name=n, partitions=1, config={"retention.ms": r}) for n, r in kept.items()]
    )
    send(broker, "orders", {"amount": 1}, timestamp=1_000)

    result = call("doctor", "orders.yaml", "--json")

    assert result.exit_code == 1
    assert statuses(result.stdout)["orders: retention"] == "fail"


def test_doctor_warns_of_sizes_stamps_and_dead_letters(call: Call, broker: MemoryBroker) -> None:
    broker.admin().delete(["orders", "totals"])
    broker.admin().create(
        [
            NewTopic(name="orders", partitions=1, config={"max.message.bytes": "5000000"}),
            NewTopic(
                name="totals", partitions=1, config={"message.timestamp.type": "LogAppendTime"}
            ),
        ]
    )
    send(broker, "orders", "not JSON")
    call("run", "orders.yaml", "--until-idle", "50ms")

    found = statuses(call("doctor", "orders.yaml", "--json").stdout)

    assert found["orders: record size"] == "warn"
    assert found["orders: timestamps"] == "warn"
    assert found["orders: dead letters"] == "warn"


def test_doctor_names_variables_and_never_their_values(
    call: Call, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CLIENT_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("HEADRACE_PREFIX", "mine")

    text = call("doctor").stdout

    assert "HEADRACE_CLIENT_SASL_PASSWORD" in text
    assert "HEADRACE_PREFIX" in text
    assert "hunter2" not in text


def test_doctor_fails_where_settings_are_wrong(call: Call, tmp_path: Path) -> None:
    (tmp_path / "headrace.yaml").write_text("brokerz: a:1\n")

    result = call("doctor", "--json")

    assert result.exit_code == 1
    assert statuses(result.stdout)["settings"] == "fail"


def test_doctor_fails_where_no_broker_answers(call: Call, broker: MemoryBroker) -> None:
    broker.stop()

    result = call("doctor", "--json")

    assert result.exit_code == 1
    assert statuses(result.stdout)["cluster"] == "fail"


def test_doctor_tells_the_problems_of_a_flow(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    (tmp_path / "orders.yaml").write_text(ORDERS.replace("publish", "publsh"))

    result = call("doctor", "orders.yaml")

    assert result.exit_code == 1
    assert "fail  flows: orders.yaml:6: " in result.stdout


def test_a_cluster_that_does_not_answer_is_exit_code_5(call: Call, broker: MemoryBroker) -> None:
    broker.stop()

    assert call("topics").exit_code == 5
