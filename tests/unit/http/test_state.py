"""What a running worker tells of its state."""

import asyncio
import base64
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from headrace.runtime.http.keys import encoded
from tests.unit.http.asking import Answered, broker_with, feed, once, worker_of
from tests.unit.http.asking import asked as ask
from tests.unit.http.flows import ENTRIES, TOTALS, WINDOWS


def is_found(answered: Answered) -> bool:
    return answered.status == HTTPStatus.OK


def has_keys(count: int) -> Any:
    return lambda answered: is_found(answered) and len(answered.document["items"]) >= count


def test_a_key_is_told_with_its_aggregates(tmp_path: Path) -> None:
    async def main() -> Any:
        broker = broker_with(2)
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            feed(broker, (b"x", {"a": 1}, 1_000), (b"x", {"a": 2}, 7_000))
            path = "/state/big-orders/totals/x"
            return (await once(worker, path, is_found)).document

    document = asyncio.run(main())

    assert document == {
        "flow": "big orders",
        "stage": "totals",
        "key": "x",
        "partition": document["partition"],
        "watermark": 7_000,
        "entries": {"value": {"n": 2, "sum": 3}},
    }


def test_windows_are_merged_of_their_bins_and_can_be_chosen_by_time(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        broker = broker_with(2)
        async with worker_of(broker, tmp_path, WINDOWS) as worker:
            times = (10_000, 16_000, 17_000)
            feed(broker, *((b"k", {"r": "eu"}, time) for time in times), partition=0)
            paths = [
                "/state/windows/minutes/eu",
                "/state/windows/hops/eu",
                "/state/windows/hops/eu?from=10000&to=15000",
                "/state/windows/hops/eu?from=1970-01-01T00:00:10Z&limit=1",
            ]
            return [(await once(worker, path, is_found)).document for path in paths]

    minutes, hops, chosen, first = asyncio.run(main())

    assert minutes["entries"] == [{"start": 10_000, "end": 20_000, "n": 3}]
    assert hops["entries"] == [
        {"start": 5_000, "end": 15_000, "n": 1},
        {"start": 10_000, "end": 20_000, "n": 3},
        {"start": 15_000, "end": 25_000, "n": 2},
    ]
    assert chosen["entries"] == hops["entries"][1:2]
    assert (first["entries"], first["next"]) == (hops["entries"][1:2], 15_000)


def test_other_stages_tell_their_entries_as_people_read_them(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        broker = broker_with(1)
        async with worker_of(broker, tmp_path, ENTRIES) as worker:
            feed(broker, *((b"k", {"a": time}, time) for time in (1_000, 3_000)))
            stages = ("seen", "visits", "recent", "threes")
            return [
                (await once(worker, f"/state/entries/{stage}/k", is_found)).document["entries"]
                for stage in stages
            ]

    seen, visits, recent, threes = asyncio.run(main())

    assert list(seen.values()) == [1_000, 3_000]
    assert visits == threes == {"": [{"start": 1_000, "end": 3_000, "n": 2}]}
    assert recent == {"t000000000001000": {"n": 1}, "t000000000003000": {"n": 1}}


@pytest.mark.parametrize("stage", ["totals", "minutes", "seen"])
def test_keys_are_told_in_the_order_of_their_bytes_page_by_page(tmp_path: Path, stage: str) -> None:
    keys = sorted(f"{'k' * (i % 3)}{i}" for i in range(20))
    flow, text = {
        "totals": ("big-orders", TOTALS),
        "minutes": ("windows", WINDOWS),
        "seen": ("entries", ENTRIES),
    }[stage]

    async def main() -> tuple[list[str], list[str]]:
        broker = broker_with(3)
        async with worker_of(broker, tmp_path, text) as worker:
            feed(broker, *((key.encode(), {"a": 1, "r": key}, 1_000) for key in keys))
            base = f"/state/{flow}/{stage}"
            await once(worker, base, has_keys(20))
            found: list[str] = []
            following: str | None = ""
            while following is not None:
                more = f"&next={following}" if following else ""
                page = (await ask(worker, f"{base}?limit=7{more}")).document
                found += [item["key"] for item in page["items"]]
                following = page["next"]
            part = (await ask(worker, f"{base}?start={keys[5]}&end={keys[9]}")).document
            return found, [item["key"] for item in part["items"]]

    found, part = asyncio.run(main())

    assert found == keys
    assert part == keys[5:9]


ODD_KEYS = (
    "naïve ключ 鍵".encode(),
    b"a/b//c",
    b"..",
    b"100%",
    b"a?b#c&d",
    b"\xff\x00\xfe",
    b" ",
    b"+",
    b"",
)


def test_every_key_can_be_asked_for_by_its_bytes_and_as_base64(tmp_path: Path) -> None:
    async def main() -> tuple[list[Any], list[Any], Any]:
        broker = broker_with(2)
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            feed(broker, *((key, {"a": 1}, 1_000) for key in ODD_KEYS))
            base = "/state/big%20orders/totals"
            listed = await once(worker, base, has_keys(len(ODD_KEYS)))
            plain = [(await ask(worker, f"{base}/{quote(key, safe='')}")) for key in ODD_KEYS]
            written = [quote(base64.b64encode(key), safe="") for key in ODD_KEYS]
            coded = [await ask(worker, f"{base}/{key}?encoding=base64") for key in written]
            return plain, coded, listed.document

    plain, coded, listed = asyncio.run(main())

    assert [one.status for one in (*plain, *coded)] == [HTTPStatus.OK] * 2 * len(ODD_KEYS)
    assert [one.document["key"] for one in coded] == [encoded(key) for key in ODD_KEYS]
    assert plain[0].document["key"] == ODD_KEYS[0].decode()
    assert (plain[5].document["key"], plain[5].document["encoding"]) == ("_wD-", "base64")
    assert len(listed["items"]) == len(ODD_KEYS)


def test_a_key_that_another_partitioner_placed_is_found_all_the_same(tmp_path: Path) -> None:
    async def main() -> set[int]:
        broker = broker_with(3)
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            for partition in range(3):
                feed(broker, (f"only-{partition}".encode(), {"a": 1}, 1_000), partition=partition)
            paths = [f"/state/big-orders/totals/only-{partition}" for partition in range(3)]
            answers = [await once(worker, path, is_found) for path in paths]
            return {one.document["partition"] for one in answers}

    assert asyncio.run(main()) == {0, 1, 2}


WRONG = [
    ("/state/big-orders/totals/nobody", 404, "nothing is stored under this key"),
    ("/state/big-orders/total", 404, "did you mean 'totals'"),
    ("/state/big-order/totals", 404, "did you mean 'big orders'"),
    ("/state/big-orders", 404, "/state/<flow>/<stage>"),
    ("/state/big-orders/totals?limt=1", 400, "did you mean 'limit'"),
    ("/state/big-orders/totals?limit=0", 400, "from 1 to 10,000"),
    ("/state/big-orders/totals?from=soon", 400, "ms since 1970 UTC"),
    ("/state/big-orders/totals?start=b&end=a", 400, "end: comes before start"),
    ("/state/big-orders/totals/a?from=2&to=1", 400, "to: comes before from"),
    ("/state/big-orders/totals/a?encoding=hex", 400, "text or base64"),
    ("/state/big-orders/totals/%21?encoding=base64", 400, "must be base64"),
    ("/nowhere", 404, "there are /state"),
]


def test_what_cannot_be_answered_is_told_as_problem_details(tmp_path: Path) -> None:
    async def main() -> list[Answered]:
        async with worker_of(broker_with(1), tmp_path, TOTALS) as worker:
            await once(worker, "/health", is_found)
            return [await ask(worker, path) for path, _, _ in WRONG]

    for (path, status, told), answered in zip(WRONG, asyncio.run(main()), strict=True):
        assert (path, answered.status) == (path, status)
        assert answered.document["status"] == status
        assert answered.headers["content-type"] == "application/problem+json"
        assert told in answered.document["detail"]


def test_only_get_is_answered(tmp_path: Path) -> None:
    async def main() -> Answered:
        async with worker_of(broker_with(1), tmp_path, TOTALS) as worker:
            return await ask(worker, "/state", method="POST")

    assert asyncio.run(main()).status == HTTPStatus.METHOD_NOT_ALLOWED


def test_the_overview_tells_stages_tasks_and_workers(tmp_path: Path) -> None:
    async def main() -> tuple[Any, str | None]:
        broker = broker_with(2)
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            feed(broker, (b"x", {"a": 1}, 1_000))
            await once(worker, "/state/big-orders/totals/x", is_found)
            return (await ask(worker, "/state")).document, worker.http_address

    document, address = asyncio.run(main())

    (stage,) = document["stages"]
    assert (stage["flow"], stage["stage"], stage["partitions"]) == ("big orders", "totals", 2)
    assert [(one["partition"], one["state"]) for one in stage["tasks"]] == [
        (0, "ready"),
        (1, "ready"),
    ]
    assert {one["watermark"] for one in stage["tasks"]} == {None, 1_000}
    (group,) = document["groups"]
    assert [one["address"] for one in group["workers"]] == [document["worker"]] == [address]
    assert group["store_bytes"] > 0


def test_metrics_count_what_was_done(tmp_path: Path) -> None:
    async def main() -> str:
        broker = broker_with(1)
        async with worker_of(broker, tmp_path, TOTALS) as worker:
            feed(broker, (b"x", {"a": 1}, 1_000), (b"x", {"b": 1}, 1_000))
            await once(worker, "/state/big-orders/totals/x", is_found)
            answered = await ask(worker, "/metrics")
            assert answered.headers["content-type"].startswith("text/plain; version=0.0.4")
            return answered.body.decode()

    lines = asyncio.run(main()).splitlines()

    assert 'headrace_records_read_total{group="headrace.big-orders"} 2' in lines
    assert (
        'headrace_records_failed_total{flow="big orders",stage="totals",fate="dead_letter"} 1'
        in lines
    )
    assert "headrace_ready 1" in lines
    assert any(
        line.startswith('headrace_lag_records{group="headrace.big-orders"') for line in lines
    )
    assert any(
        line.startswith(
            'headrace_watermark_lag_seconds{flow="big orders",stage="totals",partition="0"} '
        )
        for line in lines
    )
    assert all(line.startswith(("# ", "headrace_")) for line in lines)
