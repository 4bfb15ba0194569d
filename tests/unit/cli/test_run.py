import json
from pathlib import Path

import pytest

from headrace.connectors.memory import MemoryBroker
from tests.unit.cli.conftest import ORDERS, Call, send


def test_run_ends_when_nothing_comes_any_more(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 200}, {"amount": 1})

    result = call("run", "orders.yaml", "--until-idle", "50ms")

    assert result.exit_code == 0
    assert "orders  totals        1" in result.stdout
    assert "2 records read in " in result.stdout


def test_run_says_where_failed_records_are(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 200}, {}, "not JSON")

    result = call("run", "orders.yaml", "--until-idle", "50ms")

    assert "1 to dead letters" in result.stdout
    assert "flow 'orders': 2 records in 'headrace.orders.dead-letters'" in result.stdout
    assert "event has no field 'amount'" in result.stderr


def test_run_as_json_ends_with_a_summary_line(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 200}, {})

    result = call("run", "orders.yaml", "--until-idle", "50ms", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"progress"}
    assert lines[-1]["type"] == "summary"
    assert lines[-1]["records_read"] == 2
    assert lines[-1]["flows"]["orders"] == {
        "written": {"totals": 1},
        "failed": {"large": {"dead_letter": 1}},
    }
    assert lines[-1]["dead_letters"]["orders"]["records"] == 1


def test_run_that_is_quiet_says_nothing_of_what_went_well(call: Call, broker: MemoryBroker) -> None:
    send(broker, "orders", {"amount": 200})

    result = call("run", "orders.yaml", "--until-idle", "50ms", "-q")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_flow_that_stops_ends_the_run_with_6_and_a_summary(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    (tmp_path / "orders.yaml").write_text(
        ORDERS.replace("out: totals", "out: totals, on_error: fail")
    )
    send(broker, "orders", {})

    text = call("run", "orders.yaml", "--until-idle", "5s")
    as_json = call("run", "orders.yaml", "--until-idle", "5s", "--json")

    assert text.exit_code == as_json.exit_code == 6
    assert "error: flow 'orders' stopped: stage 'large' failed on orders[" in text.stderr
    assert json.loads(as_json.stdout.splitlines()[-1])["error"]["type"] == "FlowStoppedError"


def test_a_missing_topic_ends_the_run_with_4(call: Call, broker: MemoryBroker) -> None:
    broker.admin().delete(["totals"])

    result = call("run", "orders.yaml")

    assert result.exit_code == 4
    assert "--create-topics" in result.stderr
    assert result.stdout == ""


def test_topics_are_created_when_asked_for(call: Call, broker: MemoryBroker) -> None:
    broker.admin().delete(["totals"])

    result = call("run", "orders.yaml", "--create-topics", "--until-idle", "50ms")

    assert result.exit_code == 0
    assert broker.admin().topics()["totals"] == 2


def test_the_memory_engine_is_refused_with_remedies(call: Call) -> None:
    result = call("run", "orders.yaml", "--set", "engine=memory")

    assert result.exit_code == 4
    assert "`headrace test`" in result.stderr
    assert "--local" in result.stderr


def test_two_brokers_are_one_too_many(call: Call) -> None:
    assert call("run", "orders.yaml", "--local", "--brokers", "a:1").exit_code == 2


def test_a_duration_without_a_unit_is_a_usage_error(call: Call) -> None:
    result = call("run", "orders.yaml", "--until-idle", "5")

    assert result.exit_code == 2
    assert "did you mean '5s'?" in result.stderr


def test_a_setting_without_a_value_is_a_usage_error(call: Call) -> None:
    result = call("run", "orders.yaml", "--set", "partitions")

    assert result.exit_code == 2
    assert "KEY=VALUE" in result.stderr


def test_a_flow_that_is_not_enabled_is_not_run(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    (tmp_path / "orders.yaml").write_text("enabled: false\n" + ORDERS.lstrip())

    result = call("run", "orders.yaml")

    assert result.exit_code == 4
    assert "no flow to run" in result.stderr


def test_without_a_local_broker_the_remedies_are_told(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.runtime.cli.broker.GROUP", "headrace.nobody")

    result = call("run", "orders.yaml", "--local")

    assert result.exit_code == 4
    assert "no installed package has a local broker" in result.stderr
