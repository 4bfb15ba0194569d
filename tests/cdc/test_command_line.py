"""`headrace cdc` on a real database."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.runtime import brokers as connecting
from headrace.runtime.cli.main import headrace
from tests.cdc.conftest import Database
from tests.cdc.running import Running

ORDERS = "shop.changes.public.orders"
Call = Callable[..., Result]

FLOW = """
name: shop
stages:
  - name: changes
    action: cdc
    config: {url: "%s", tables: [orders]}
    out: log
  - {name: log, action: log}
"""


@pytest.fixture
def call(shop: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls `headrace cdc COMMAND` on a flow that captures the database."""
    flow = tmp_path / "shop.yaml"
    flow.write_text(FLOW % shop.server.url(shop.name))
    shop.place = "headrace.shop.changes"
    monkeypatch.setattr(connecting, "connect", lambda *_: shop.broker)

    def run(command: str, *words: str) -> Result:
        return CliRunner().invoke(headrace, ["cdc", command, str(flow), *words])

    return run


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def begun(shop: Database) -> Running:
    shop.execute("create table orders (id int primary key)", "insert into orders values (1)")
    capture = shop.capture(tables=["orders"])
    capture.until("running")
    return capture


def test_check_says_what_is_well_and_what_is_not(shop: Database, call: Call) -> None:
    shop.execute("create table orders (id int primary key)")
    well = call("check", "--json")
    shop.execute("alter table orders drop constraint orders_pkey")
    bad = call("check")

    assert read(well)["ok"]
    assert bad.exit_code == 1
    assert "REPLICA IDENTITY FULL" in bad.stdout


def test_check_of_a_database_that_is_not_there_is_an_answer(
    shop: Database, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(FLOW % "postgresql://127.0.0.1:1/none")

    result = call("check", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["checks"][0]["subject"] == "connection"


def test_status_tells_how_far_a_capture_is(shop: Database, call: Call) -> None:
    before = call("status", "--json")
    begun(shop)
    found = read(call("status", "--json"))

    assert read(before)["phase"] == "not begun"
    assert (found["phase"], found["tables"]) == ("streaming", ["public.orders"])
    assert found["notes"] == []
    assert found["figures"]["log_bytes"] >= 0
    assert "phase" in call("status").stdout


def test_status_tells_that_a_slot_is_gone(shop: Database, call: Call) -> None:
    begun(shop).stop()
    read(call("drop-slot", "--yes", "--json"))

    found = read(call("status", "--json"))

    assert re.fullmatch("replication slot '.*' does not exist", *found["notes"])


def test_snapshot_makes_the_worker_read_rows_again(shop: Database, call: Call) -> None:
    capture = begun(shop)

    read(call("snapshot", "orders", "--where", "id < 5", "--json"))

    assert [one.op for one in capture.changes(ORDERS, 2)] == ["r", "r"]


@pytest.mark.parametrize("condition", ["idd < 5", "id <"])
def test_a_condition_that_the_database_refuses_does_not_reach_the_worker(
    shop: Database, call: Call, condition: str
) -> None:
    capture = begun(shop)
    result = call("snapshot", "orders", "--where", condition)
    read(call("snapshot", "orders", "--json"))

    assert result.exit_code == 4
    assert "table 'public.orders' cannot be read with this condition: " in result.output
    assert "access_denied" not in result.output
    assert [one.op for one in capture.changes(ORDERS, 2)] == ["r", "r"]


def test_snapshot_of_a_table_that_is_not_captured_is_an_error(shop: Database, call: Call) -> None:
    begun(shop)

    result = call("snapshot", "users")

    assert result.exit_code == 4
    assert "there are public.orders" in result.stderr


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_where_the_worker_reads_it_is_the_worker_that_rests(call: Call, command: str) -> None:
    result = call(command)

    assert result.exit_code == 4
    assert "stop the worker and it rests" in result.stderr


def test_drop_slot_removes_slot_and_publication(shop: Database, call: Call) -> None:
    begun(shop).stop()

    removed = read(call("drop-slot", "--yes", "--json"))["removed"]

    assert removed == [
        "replication slot 'headrace_shop_changes'",
        "publication 'headrace_shop_changes'",
    ]
    assert call("drop-slot", "--yes").stdout == "there is nothing to remove\n"
