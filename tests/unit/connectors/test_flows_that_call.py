"""Actions that call the outside in flows, on the engine in memory."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from tests.unit.connectors.http_call.serving import Asked, Server, serving
from tests.unit.running import Running, running

SOURCE = "- {name: source, action: kafka, config: {topics: in}, out: call}"
SINK = "- {name: sink, action: publish, config: {topic: out}}"


def flow(call: str) -> str:
    return f"""
    name: flow
    stages:
      {SOURCE}
      - {{name: call, out: sink, {call}}}
      {SINK}
    """


def done(run: Running) -> None:
    """Let the flows work until nothing is left, and let go of their connections."""
    run.drain()
    run.member.close()


def test_a_request_that_fails_is_tried_again_with_the_same_key() -> None:
    def answer(asked: Asked) -> Any:
        number = orjson.loads(asked.body)["n"]
        if number == 2 and len(servers[0].asked) < 8:
            return Response("busy", 503)
        return Response("no", 422) if number == 4 else {"twice": number * 2}

    async def call() -> Running:
        async with serving(answer) as server:
            servers.append(server)
            config = f"action: http, config: {{url: '{server.url}/n/${{event.n}}', merge: true}}"
            retry = "retry: {attempts: 9, backoff: 1ms}"
            run = running(flow(f"{config}, {retry}"), topics=["in"])
            for number in range(6):
                run.feed({"n": number}, key=f"k{number}")
            await asyncio.to_thread(done, run)
            return run

    servers: list[Server] = []
    run = asyncio.run(call())

    assert sorted(one["twice"] for one in run.data("out")) == [0, 2, 4, 6, 10]
    keys = {(asked.path, asked.headers["idempotency-key"]) for asked in servers[0].asked}
    assert len(keys) == 6, "one key per record, however often it was tried"
    (letter,) = run.dead_letters
    said = b"".join(value for value in letter.headers.values() if value is not None)
    assert b"was answered with 422 Unprocessable Entity; the answer begins: no" in said


def test_what_is_looked_up_is_asked_for_once() -> None:
    async def call() -> tuple[Running, int]:
        async with serving(lambda asked: {"path": asked.path}) as server:
            hydrate = f"http: {{url: '{server.url}/c/${{event.c}}'}}, into: found, cache: {{}}"
            run = running(flow(f"action: hydrate, config: {{{hydrate}}}"), topics=["in"])
            for number in range(60):
                run.feed({"c": number % 3}, key=f"k{number}")
            await asyncio.to_thread(done, run)
            return run, len({asked.path for asked in server.asked})

    run, paths = asyncio.run(call())

    assert [one["found"]["path"] for one in run.data("out")] == [f"/c/{n % 3}" for n in range(60)]
    assert paths == 3


def test_files_have_every_record_once(tmp_path: Path) -> None:
    config = f"folder: {tmp_path}, partition: 'p=${{event.n % 2}}', roll: {{rows: 10}}"
    run = running(flow(f"action: file, config: {{{config}}}"), topics=["in"])

    for number in range(40):
        run.feed({"n": number}, key=f"k{number}")
    done(run)

    written = [
        orjson.loads(line)["n"]
        for path in tmp_path.rglob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert sorted(written) == list(range(40))
    assert {path.parent.name for path in tmp_path.rglob("*.jsonl")} == {"p=0", "p=1"}
