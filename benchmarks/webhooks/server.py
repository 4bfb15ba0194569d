"""`python -m benchmarks.webhooks.server CONTENDER BROKERS TOPIC`: one contender on a free port, which it prints.

All run on the same server (uvicorn with h11 on uvloop, as a worker has it), and answer when all in-sync replicas have the record.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.webhook.outgoing import Outgoing, Record, Written
from headrace.connectors.webhook.trigger import Webhook
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import ProducerSettings
from headrace.runtime.contracts.feed import FeedPlace

SECRET = "benchmark"
PATH = "/hook"
LINGER_MS = 2
BATCH_BYTES = 1_000_000

Close = Callable[[], Awaitable[None]]


async def bare_aiokafka(
    brokers: str, topic: str, batch_bytes: int = BATCH_BYTES
) -> tuple[Any, Close]:
    """What a person writes: Starlette, aiokafka, `send_and_wait`; with batches as large as ours."""
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        enable_idempotence=True,
        linger_ms=LINGER_MS,
        max_batch_size=batch_bytes,
    )
    await producer.start()

    async def handle(request: Request) -> Response:
        sent = await producer.send_and_wait(topic, await request.body())
        return JSONResponse({"status": "accepted", "offset": sent.offset}, 202)

    return Starlette(routes=[Route(PATH, handle, methods=["POST"])]), producer.stop


async def bare_aiokafka_defaults(brokers: str, topic: str) -> tuple[Any, Close]:
    """The same with aiokafka's own batches, into which two requests of the benchmark's size go."""
    return await bare_aiokafka(brokers, topic, 16_384)


async def bare_librdkafka(brokers: str, topic: str) -> tuple[Any, Close]:
    """The same on our own producer, whose reports come from a thread beside the event loop."""
    broker, loop = KafkaBroker(brokers), asyncio.get_running_loop()
    settings = ProducerSettings(
        client_id="bare", reports_deliveries=True, client={"linger.ms": str(LINGER_MS)}
    )
    producer = broker.producer(settings)
    outgoing = Outgoing(
        broker,
        producer,
        topic,
        loop=loop,
        ack_timeout_s=10.0,
        settled=lambda _record, _is_written: None,
    )
    ended = Event()

    def serve() -> None:
        while not ended.is_set():
            outgoing.poll(0.1)

    thread = asyncio.create_task(asyncio.to_thread(serve))

    async def handle(request: Request) -> Response:
        fate = await outgoing.write(Record(None, await request.body(), [], 0))
        assert isinstance(fate, Written)
        return JSONResponse({"status": "accepted", "offset": fate.offset}, 202)

    async def close() -> None:
        ended.set()
        await thread
        producer.close()

    return Starlette(routes=[Route(PATH, handle, methods=["POST"])]), close


async def webhook(brokers: str, topic: str, **config: Any) -> tuple[Any, Close]:
    """The webhook bridge."""
    limits = {"in_flight": 10_000, "in_flight_per_source": 10_000}
    action = Webhook(
        Webhook.Config.model_validate({"topic": topic, "path": PATH, "limits": limits, **config})
    )
    place = FeedPlace(
        name="benchmark.hook",
        flow="benchmark",
        stage="hook",
        settings={"secret_0": SECRET},
        broker=KafkaBroker(brokers),
        client={},
        clock=SystemClock(),
        stopped=Event(),
        report=lambda _: None,
    )
    application = action.placed("benchmark", "hook").feed().application(place)
    while application.why_not:
        await asyncio.sleep(0.05)
    return application, application.close


async def webhook_github(brokers: str, topic: str) -> tuple[Any, Close]:
    """With signature, headers kept, JSON checked, and every delivery remembered."""
    return await webhook(brokers, topic, verify={"scheme": "github", "secrets": "${secret.HOOK}"})


async def webhook_open(brokers: str, topic: str) -> tuple[Any, Close]:
    """For anybody, bytes, nothing remembered: the work of the bare handlers."""
    return await webhook(brokers, topic, verify="none", format="bytes", idempotency="none")


SERVERS: dict[str, Callable[[str, str], Awaitable[tuple[Any, Close]]]] = {
    "headrace": webhook_github,
    "headrace-open": webhook_open,
    "bare-aiokafka": bare_aiokafka,
    "aiokafka-defaults": bare_aiokafka_defaults,
    "bare-librdkafka": bare_librdkafka,
}


async def serve(contender: str, brokers: str, topic: str) -> None:
    """Answer until the standard input ends."""
    application, close = await SERVERS[contender](brokers, topic)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "root_path": PATH}, receive, send)

    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(
        mounted if contender.startswith("headrace") else application,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    print(listening.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving
    await close()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
