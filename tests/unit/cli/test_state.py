import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.address import Address
from headrace.runtime.cli import asking
from headrace.runtime.cli.state_table import table_of
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.http.client import Answer, ask
from tests.unit.cli.conftest import Call
from tests.unit.http.asking import Answered, feed, once, worker_of
from tests.unit.http.flows import TOTALS

TOKEN = "open-sesame-and-more"


def is_found(answered: Answered) -> bool:
    return answered.status == HTTPStatus.OK


def called(call: Call, broker: MemoryBroker, folder: Path, *words: str, **settings: Any) -> Any:
    """What a command says while a worker of `TOTALS` runs that has seen five keys."""
    broker.admin().create([NewTopic(name="in", partitions=2)])

    async def main() -> Any:
        async with worker_of(broker, folder / "worker", TOTALS, **settings) as worker:
            feed(broker, *((f"k{number}".encode(), {"a": number}) for number in range(5)))
            if worker.http_address is not None:
                token = settings.get("http_token", "")
                path = "/state/big-orders/totals?start=k4"
                await once(
                    worker,
                    path,
                    lambda answered: is_found(answered) and bool(answered.document["items"]),
                    authorization=f"Bearer {token}",
                )
            return await asyncio.to_thread(call, *words)

    return asyncio.run(main())


def test_state_shows_a_key_as_a_table(call: Call, broker: MemoryBroker, tmp_path: Path) -> None:
    result = called(call, broker, tmp_path, "state", "big orders", "totals", "k3")

    assert result.exit_code == 0
    assert result.stdout == "key  n  sum\nk3   1    3\n"


def test_state_shows_all_keys_as_json_lines_over_pages(
    call: Call, broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAGE", 2)

    result = called(call, broker, tmp_path, "state", "big-orders", "totals", "--json")

    items = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item["key"] for item in items] == [f"k{number}" for number in range(5)]


def test_state_says_that_there_is_more(call: Call, broker: MemoryBroker, tmp_path: Path) -> None:
    result = called(call, broker, tmp_path, "state", "big-orders", "totals", "--limit", "2")

    assert result.stdout.splitlines() == ["key  n  sum", "k0   1    0", "k1   1    1"]
    assert "there is more" in result.stderr


def test_state_of_a_key_that_nobody_has_fails(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    result = called(call, broker, tmp_path, "state", "big-orders", "totals", "nobody")

    assert result.exit_code == 1
    assert "nothing is stored under this key in stage 'totals'" in result.stderr


def test_state_shows_the_token_of_the_environment(
    call: Call, broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("state", "big-orders", "totals", "k1")

    without = called(call, broker, tmp_path, *words, http_token=TOKEN)
    monkeypatch.setenv("HEADRACE_HTTP_TOKEN", TOKEN)
    with_it = called(call, broker, tmp_path, *words, http_token=TOKEN)

    assert (without.exit_code, with_it.exit_code) == (4, 0)
    assert "set HEADRACE_HTTP_TOKEN" in without.stderr


def test_state_says_how_workers_can_be_asked(
    call: Call, broker: MemoryBroker, tmp_path: Path
) -> None:
    nobody = call("state", "big-orders", "totals")
    silent = called(call, broker, tmp_path, "state", "big-orders", "totals", http=None)

    assert (nobody.exit_code, silent.exit_code) == (4, 4)
    assert "no worker of group 'headrace.big-orders' runs" in nobody.stderr
    assert "start workers with --http 127.0.0.1:8080" in silent.stderr


def test_a_worker_that_does_not_answer_is_passed_over(
    call: Call, broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Address] = []

    def first_fails(address: Address, target: str, *, token: str | None) -> Answer:
        tried.append(address)
        real = ask(address, target, token=token)
        return Answer(503, b"{}", "text/plain") if len(tried) == 1 else real

    monkeypatch.setattr(asking, "ask", first_fails)
    asker = asking.Asking("group", [], None)

    async def main() -> Any:
        broker.admin().create([NewTopic(name="in", partitions=1)])
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            feed(broker, (b"k", {"a": 1}))
            await once(worker, "/state/big-orders/totals/k", is_found)
            host, _, port = str(worker.http_address).rpartition(":")
            asker._workers = [Address(host, int(port))] * 2
            return await asyncio.to_thread(asker.one, "big orders", "totals", "k", {})

    assert asyncio.run(main()).items[0]["key"] == "k"
    assert len(tried) == 2


def test_keys_and_a_range_of_keys_exclude_each_other(call: Call) -> None:
    assert call("state", "flow", "stage", "key", "--start", "a").exit_code == 2


def test_windows_and_entries_become_rows() -> None:
    items: list[dict[str, Any]] = [
        {"key": "a", "entries": [{"start": 0, "end": 1_500, "n": 2}]},
        {"key": "b", "entries": {"": {"x": 1}, "t": "é"}},
    ]

    headings, rows, alignment = table_of(items)

    assert headings == ["key", "start", "end", "n", "entry", "value"]
    assert rows == [
        ["a", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500Z", "2", "", ""],
        ["b", "", "", "", "", '{"x": 1}'],
        ["b", "", "", "", "t", "é"],
    ]
    assert alignment == "   >  "


def test_run_says_where_it_answers(call: Call, broker: MemoryBroker) -> None:
    result = call("run", "orders.yaml", "--http", "127.0.0.1:0", "--until-idle", "50ms")

    assert result.exit_code == 0
    assert "http: answering on http://127.0.0.1:" in result.stderr


def test_run_refuses_an_address_that_needs_a_token(call: Call, broker: MemoryBroker) -> None:
    result = call("run", "orders.yaml", "--http", "0.0.0.0:0")

    assert result.exit_code == 4
    assert "given: 'http': others than this machine reach it, so it needs a token" in result.stderr
