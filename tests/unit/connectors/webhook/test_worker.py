"""Webhooks in a worker: from a request to the flow's result, and back."""

import asyncio
import hashlib
import hmac
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace import SettingsError, Worker
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from headrace.runtime.environment import Values
from tests.unit.connectors.webhook.asking import records_of, until
from tests.unit.http.asking import once
from tests.unit.running import flows_of

FLOW = """
name: shop
stages:
  - name: hook
    action: webhook
    config:
      path: /hooks/shop
      verify: {scheme: github, secrets: "${secret.HOOK}"}
      key: event.id
    out: doubled
  - name: doubled
    action: map
    config: {set: {twice: event.amount * 2, kind: 'get(headers, "x-github-event", null)'}}
    out: sink
  - {name: sink, action: publish, config: {topic: out}}
"""
SYNC = """
name: answers
stages:
  - name: ask
    action: webhook
    on_error: sorry
    config: {verify: none, mode: sync}
    out: root
  - {name: root, action: map, on_error: sorry, config: {set: {root: sqrt(event.number)}}, out: answer}
  - {name: answer, action: publish, config: {topic: answers.ask.replies}}
  - name: sorry
    action: publish
    config: {topic: answers.ask.replies, value: "{'error': event.error.stage}", headers: {status: "422"}}
"""
JSON = {"content-type": "application/json"}


def worker_of(folder: Path, *flows: str, **given: object) -> Worker:
    settings: dict[str, Any] = {
        "create_topics": True,
        "http": "127.0.0.1:0",
        "state_dir": folder,
        **given,
    }
    broker = MemoryBroker(clock=SystemClock())
    values = Values(secrets={"HOOK": "one"})
    return Worker(flows_of(*flows), broker=broker, values=values, **settings)


def post(
    address: str | None, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    assert address is not None
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def signed(body: bytes, event: str = "push") -> dict[str, str]:
    made = hmac.new(b"one", body, hashlib.sha256).hexdigest()
    return {**JSON, "x-hub-signature-256": f"sha256={made}", "x-github-event": event}


def broker_of(worker: Worker) -> MemoryBroker:
    assert isinstance(worker._broker, MemoryBroker)
    return worker._broker


async def ready(worker: Worker) -> None:
    """Until the worker's feeds run, as its health says."""
    assert worker.feeds is not None
    statuses = worker.feeds
    await until(
        lambda: (
            statuses.statuses and all(one.state == "running" for one in statuses.statuses.values())
        )
    )


def test_a_request_runs_the_flow_and_its_state_is_told(tmp_path: Path) -> None:
    body = b'{"id": 7, "amount": 21}'

    async def main() -> tuple[list[int], list[object], str]:
        async with worker_of(tmp_path, FLOW, http_token="open-sesame-and-more") as worker:
            await ready(worker)
            broker = broker_of(worker)
            statuses = [
                (await asyncio.to_thread(post, worker.http_address, path, sent, headers))[0]
                for path, sent, headers in (
                    ("/hooks/shop", body, signed(body)),
                    ("/hooks/shop", body + b" ", signed(body)),
                    ("/hooks/other", body, signed(body)),
                )
            ]
            await until(lambda: records_of(broker, "out"))
            found = [json.loads(record.value() or b"") for record in records_of(broker, "out")]
            metrics = await once(
                worker,
                "/metrics",
                lambda answered: b"records_total" in answered.body,
                authorization="Bearer open-sesame-and-more",
            )
            return statuses, found, metrics.body.decode()

    statuses, found, metrics = asyncio.run(main())

    assert statuses == [202, 401, 401]  # the worker's own answers ask for its token
    assert found == [{"id": 7, "amount": 21, "twice": 42, "kind": "push"}]
    assert 'headrace_feed_state{flow="shop",stage="hook",state="running"} 1' in metrics


def test_who_asks_for_an_unknown_path_is_told_which_there_are(tmp_path: Path) -> None:
    async def main() -> tuple[int, bytes]:
        async with worker_of(tmp_path, FLOW, SYNC) as worker:
            await ready(worker)
            return await asyncio.to_thread(post, worker.http_address, "/hooks/shopp", b"{}", JSON)

    status, body = asyncio.run(main())

    told = (
        "there are /state, /health and /metrics, and for webhooks /hooks/answers/ask, /hooks/shop"
    )
    assert (status, json.loads(body)["detail"]) == (404, told)


def test_the_answer_of_a_run_is_the_answer_of_its_request(tmp_path: Path) -> None:
    async def main() -> list[tuple[int, object]]:
        async with worker_of(tmp_path, SYNC) as worker:
            await ready(worker)
            answers = await asyncio.gather(
                *(
                    asyncio.to_thread(
                        post,
                        worker.http_address,
                        "/hooks/answers/ask",
                        b'{"number": %d}' % number,
                        JSON,
                    )
                    for number in (4, 9, 16, -1)
                )
            )
            return [(status, json.loads(body)) for status, body in answers]

    answers = asyncio.run(main())

    assert answers == [
        (200, {"number": 4, "root": 2.0}),
        (200, {"number": 9, "root": 3.0}),
        (200, {"number": 16, "root": 4.0}),
        (422, {"error": "root"}),
    ]


def test_what_was_written_when_the_worker_stops_is_acknowledged(tmp_path: Path) -> None:
    async def main() -> tuple[list[int], int]:
        worker = worker_of(
            tmp_path, FLOW.replace('scheme: github, secrets: "${secret.HOOK}"', "scheme: none")
        )
        async with worker:
            await ready(worker)
            broker, address = broker_of(worker), worker.http_address
            sending = [
                asyncio.create_task(
                    asyncio.to_thread(post, address, "/hooks/shop", b'{"id": 1, "amount": 1}', JSON)
                )
                for _ in range(20)
            ]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        statuses = []
        for one in sending:
            try:
                statuses.append((await one)[0])
            except OSError:
                statuses.append(0)
        return statuses, len(records_of(broker, "shop.hook"))

    statuses, records = asyncio.run(main())

    assert set(statuses) <= {202, 503, 0}
    assert records >= statuses.count(202) >= 1


def test_without_the_setting_http_a_flow_with_a_webhook_does_not_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with worker_of(tmp_path, FLOW, http=None):
            pass

    with pytest.raises(SettingsError, match="--http"):
        asyncio.run(main())
