"""What GitHub really sends, signed as it signs, over a real server."""

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from tests.unit.connectors.webhook.asking import headers_of, records_of
from tests.webhook.sending import answer, request
from tests.webhook.serving import served

PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))
SECRET = "It's a Secret to Everybody"


def headers(event: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Those of a delivery, as GitHub's documentation shows one."""
    return {
        "user-agent": "GitHub-Hookshot/044aadd",
        "accept": "*/*",
        "content-type": "application/json",
        "x-github-delivery": str(uuid.uuid4()),
        "x-github-event": event,
        "x-github-hook-id": "292430182",
        "x-github-hook-installation-target-id": "79929171",
        "x-github-hook-installation-target-type": "repository",
        "x-hub-signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
        "x-hub-signature-256": "sha256="
        + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


async def sent(port: int, requests: list[tuple[bytes, Mapping[str, str]]]) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for body, given in requests:
        writer.write(request(body, given))
        statuses.append((await answer(reader))[0])
    writer.close()
    await writer.wait_closed()
    return statuses


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_delivery_of_github_is_taken_once_with_its_body_byte_for_byte(path: Path) -> None:
    body = orjson.dumps(orjson.loads(path.read_bytes()))
    right = headers(path.stem.partition(".")[0], body)
    wrong = headers("push", body, "another secret")
    broker = MemoryBroker(clock=SystemClock())

    with served(
        broker,
        secrets={"secret_0": "rotated", "secret_1": SECRET},
        verify={"scheme": "github", "secrets": ["${secret.NEW}", "${secret.OLD}"]},
        key="event?.repository?.full_name",
    ) as hook:
        changed = body.replace(b"github", b"githab", 1)
        statuses = asyncio.run(
            sent(hook.port, [(body, right), (body, right), (body, wrong), (changed, right)])
        )

    (record,) = records_of(broker, hook.topic)
    found = headers_of(record)
    repository = orjson.loads(body).get("repository", {}).get("full_name")
    assert statuses == [202, 200, 401, 401]
    assert record.value() == body
    assert record.key() == (repository.encode() if repository else None)
    assert found["x-github-event"] == path.stem.partition(".")[0].encode()
    assert found["webhook-delivery"] == right["x-github-delivery"].encode()
    assert "x-hub-signature-256" not in found
