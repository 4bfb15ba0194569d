"""Faust on uvloop, at least once: its exactly-once setting fences itself."""

import asyncio
import os
from typing import Any

import faust
import uvloop

from benchmarks.contenders.client_settings import COMMIT_INTERVAL_S
from benchmarks.contenders.measurement import Measurement, Work, asked


async def run(work: Work) -> None:
    """Run one agent until it has processed `work.records`, then commit."""
    measurement = Measurement()
    application = faust.App(
        work.group,
        broker=f"kafka://{work.brokers}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_INTERVAL_S,
        producer_compression_type="lz4",
        producer_linger=0.005,
    )
    source = application.topic(work.source, key_serializer="raw", value_serializer="json")
    target = application.topic(work.target, key_serializer="raw", value_serializer="json")
    finished = asyncio.Event()
    seen = 0

    async def total(stream: Any) -> None:
        nonlocal seen
        async for item in stream.events():
            # An event is acknowledged when the next one is asked for, so the one after the last ends the work.
            if seen == work.records:
                finished.set()
                await asyncio.Event().wait()
            if not seen:
                measurement.begin()
            seen += 1
            event = item.value
            if event["kind"] != "view":
                event["total"] = event["amount"] * 1.2
                await target.send(key=item.key, value=event)

    application.agent(source)(total)
    await application.start()
    await finished.wait()
    await application.producer.flush()
    await application.consumer.commit()
    measurement.committed()
    measurement.report("faust", work.group, seen)
    # A graceful stop would either wait for the event that ended the work, or acknowledge it undone.
    os._exit(0)


def main() -> None:
    """Do what the command line asks, on an event loop of uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(asked()))


if __name__ == "__main__":
    main()
