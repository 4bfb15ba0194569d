"""Several workers of one group: any of them answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from headrace import Worker
from headrace.connectors.memory import MemoryBroker
from headrace.connectors.memory.reader import MemoryReader
from headrace.runtime.http.peers import FORWARDED
from headrace.runtime.partitioning import partition_of
from headrace.runtime.worker.client_ids import address_of, client_id, name_of
from tests.unit.http.asking import Answered, broker_with, feed, once, until, worker_of
from tests.unit.http.asking import asked as ask
from tests.unit.http.flows import TOTALS

PARTITIONS = 4
KEYS = [f"key-{number}" for number in range(12)]
BASE = "/state/big-orders/totals"


@asynccontextmanager
async def two_workers(
    broker: MemoryBroker, folder: Path, first: Any = None, second: Any = None
) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two workers that share the partitions."""
    one = worker_of(broker, folder / "a", TOTALS, **(first or {}))
    two = worker_of(broker, folder / "b", TOTALS, **(second or {}))

    def are_sharing() -> bool:
        ready = [len(each.members[0].standing.ready) for each in (one, two)]
        return ready == [PARTITIONS // 2] * 2

    async with one, two:
        await until(are_sharing)
        yield one, two


def held_by(worker: Worker) -> set[int]:
    return {partition for _, _, partition in worker.members[0].standing.ready}


def is_found(answered: Answered) -> bool:
    return answered.status == HTTPStatus.OK


def test_any_worker_answers_for_every_key_and_for_all_of_them(tmp_path: Path) -> None:
    async def main() -> list[tuple[list[Any], Any]]:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path) as workers:
            feed(broker, *((key.encode(), {"a": 1}, 1_000) for key in KEYS))
            told = []
            for worker in workers:
                single = [(await once(worker, f"{BASE}/{key}", is_found)) for key in KEYS]
                page = await ask(worker, BASE)
                told.append(([one.document for one in single], page.document))
            return told

    one, two = asyncio.run(main())

    assert one == two
    assert [document["key"] for document in one[0]] == KEYS
    assert [item["key"] for item in one[1]["items"]] == sorted(KEYS)
    assert one[1]["partitions"] == list(range(PARTITIONS))


def test_a_key_that_nobody_has_is_asked_for_everywhere_and_not_found(tmp_path: Path) -> None:
    async def main() -> list[int]:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path) as workers:
            return [(await ask(worker, f"{BASE}/nobody")).status for worker in workers]

    assert asyncio.run(main()) == [HTTPStatus.NOT_FOUND] * 2


def test_a_key_of_another_workers_partition_that_its_hash_does_not_say_is_found(
    tmp_path: Path,
) -> None:
    async def main() -> Answered:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path) as (one, two):
            key = next(k for k in KEYS if partition_of(k.encode(), PARTITIONS) in held_by(one))
            feed(broker, (key.encode(), {"a": 1}, 1_000), partition=min(held_by(two)))
            return await once(one, f"{BASE}/{key}", is_found)

    assert asyncio.run(main()).document["entries"] == {"value": {"n": 1, "sum": 1}}


def test_a_request_that_was_passed_on_is_not_passed_on_again(tmp_path: Path) -> None:
    async def main() -> Answered:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path) as (one, two):
            hop = str(min(held_by(two)))
            return await ask(one, f"{BASE}/key", **{FORWARDED.replace("-", "_"): hop})

    answered = asyncio.run(main())

    assert answered.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert answered.headers["retry-after"] == "1"


def test_a_worker_without_http_is_named(tmp_path: Path) -> None:
    async def main() -> list[Answered]:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path, second={"http": None}) as (one, two):
            key = next(k for k in KEYS if partition_of(k.encode(), PARTITIONS) in held_by(two))
            paths = (f"{BASE}/{key}", BASE, f"{BASE}?partial=true")
            return [await ask(one, path) for path in paths]

    single, page, part = asyncio.run(main())

    assert single.status == page.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "start it with --http" in single.document["detail"]
    assert (part.status, len(part.document["missing"])) == (HTTPStatus.OK, PARTITIONS // 2)


def test_workers_with_different_tokens_say_so(tmp_path: Path) -> None:
    tokens = [{"http_token": f"{letter * 20}"} for letter in "ab"]

    async def main() -> Answered:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path, *tokens) as (one, two):
            key = next(k for k in KEYS if partition_of(k.encode(), PARTITIONS) in held_by(two))
            return await ask(one, f"{BASE}/{key}", authorization=f"Bearer {'a' * 20}")

    answered = asyncio.run(main())

    assert answered.status == HTTPStatus.BAD_GATEWAY
    assert "another http_token" in answered.document["detail"]


def test_a_worker_that_does_not_answer_is_named_and_can_be_tried_again(tmp_path: Path) -> None:
    nobody = {"http_advertise": "127.0.0.1:1"}

    async def main() -> Answered:
        broker = broker_with(PARTITIONS)
        async with two_workers(broker, tmp_path, second=nobody) as (one, two):
            key = next(k for k in KEYS if partition_of(k.encode(), PARTITIONS) in held_by(two))
            return await ask(one, f"{BASE}/{key}")

    answered = asyncio.run(main())

    assert answered.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "127.0.0.1:1 does not answer" in answered.document["detail"]
    assert answered.headers["retry-after"] == "2"


def test_state_that_is_being_restored_is_not_told_and_the_worker_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = Event()
    read = MemoryReader.read

    def held_back(reader: MemoryReader, count: int, timeout_s: float) -> Any:
        return read(reader, count, timeout_s) if released.wait(timeout_s) else []

    async def main() -> list[Answered]:
        broker = broker_with(1)
        async with worker_of(broker, tmp_path / "a", TOTALS) as worker:
            feed(broker, (b"x", {"a": 1}, 1_000))
            await once(worker, f"{BASE}/x", is_found)
        monkeypatch.setattr(MemoryReader, "read", held_back)
        async with worker_of(broker, tmp_path / "b", TOTALS) as worker:
            await until(lambda: bool(worker.members[0].standing.waiting))
            paths = (f"{BASE}/x", BASE, "/health", "/health/live", "/state")
            before = [await ask(worker, path) for path in paths]
            released.set()
            after = [await once(worker, path, is_found) for path in (f"{BASE}/x", "/health")]
            return [*before, *after]

    key, page, health, live, overview, found, _ = asyncio.run(main())

    assert key.status == page.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert key.headers["retry-after"] == "1"
    assert health.document == {"live": True, "ready": False}
    assert live.status == HTTPStatus.OK
    (task,) = overview.document["stages"][0]["tasks"]
    assert task["state"] == "restoring"
    assert task["restore"]["lag"] > 0
    assert found.document["entries"] == {"value": {"n": 1, "sum": 1}}


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:8080", "worker-3.example:1"])
def test_a_client_id_carries_the_address_and_gives_it_back(address: str) -> None:
    made = client_id("headrace.orders", "machine-0", address)

    assert (address_of(made), name_of(made)) == (address, "headrace.orders.machine-0")


@pytest.mark.parametrize("other", ["headrace.orders.machine-0", "somebody@home", "a@:1", "1:2"])
def test_client_ids_of_others_have_no_address(other: str) -> None:
    assert address_of(other) is None
    assert name_of(other) == other
