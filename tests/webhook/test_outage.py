"""The broker goes away for ten seconds under load: every 2xx is in the topic once, all else was answered with an error."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka
from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.task.records import run_of
from tests.webhook.sending import Sender, Sent
from tests.webhook.serving import PATH, Served, served

pytestmark = pytest.mark.kafka

SCRIPT = Path(__file__).with_name("load.lua")
AWAY_S = 10.0
BEFORE_S = AFTER_S = 3.0
SENDERS = 16
PAUSE_S = 0.02


def kill(kafka: LocalKafka, away: Callable[[float], object]) -> None:
    kafka.kill()
    away(AWAY_S)
    kafka.restart()


def freeze(kafka: LocalKafka, away: Callable[[float], object]) -> None:
    assert kafka.process is not None
    os.kill(kafka.process.pid, signal.SIGSTOP)
    try:
        away(AWAY_S)
    finally:
        os.kill(kafka.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("outage", [kill, freeze])
@pytest.mark.timeout(180)
def test_every_2xx_is_in_the_topic_once_and_everything_else_was_told(
    own_kafka: LocalKafka, outage: Callable[[LocalKafka, Callable[[float], object]], None]
) -> None:
    broker = KafkaBroker(own_kafka.brokers)
    wait = threading.Event().wait

    def happen() -> None:
        wait(BEFORE_S)
        outage(own_kafka, wait)
        wait(AFTER_S)

    with served(broker, idempotency={"header": "x-delivery"}, topic="outage") as hook:
        sent = asyncio.run(load(hook, happen))
        first = deliveries(broker, hook.topic)
        again = asyncio.run(send_again(hook, sorted(sent.refused)))
        last = deliveries(broker, hook.topic)

    assert len(sent.accepted) > 100
    assert sent.refused
    assert sent.seen <= {200, 202, 503}
    assert {one: first[one] for one in sent.accepted if first[one] != 1} == {}
    assert again.refused == set()
    assert last == Counter(dict.fromkeys(sent.statuses, 1))


@pytest.mark.timeout(180)
def test_under_the_load_of_wrk_every_2xx_names_a_record_of_its_own(
    own_kafka: LocalKafka, tmp_path: Path
) -> None:
    wrk = shutil.which("wrk")
    assert wrk, "wrk is not installed; on Debian: apt-get install wrk"
    broker = KafkaBroker(own_kafka.brokers)
    wait = threading.Event().wait
    seconds = int(BEFORE_S + AWAY_S + AFTER_S) + 5

    with served(broker, idempotency={"header": "x-delivery"}, topic="outage") as hook:
        url = f"http://127.0.0.1:{hook.port}{PATH}"
        words = [wrk, "-t2", f"-c{SENDERS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
        with subprocess.Popen(
            [*words, url, "--", str(tmp_path / "answers")], stdout=subprocess.PIPE, text=True
        ) as process:
            wait(BEFORE_S)
            kill(own_kafka, wait)
            told = process.communicate(timeout=60)[0]
        there = {run_of(message) for message in records(broker, hook.topic)}
        often = deliveries(broker, hook.topic)

    statuses = json.loads(told.splitlines()[-1])
    lines = [line for one in tmp_path.glob("answers-*") for line in one.read_text().splitlines()]
    runs = [run for line in lines for run in json.loads(line)["runs"]]
    assert statuses["accepted"] == len(lines) > 100
    assert statuses["unavailable"] > 0
    assert (statuses["others"], statuses["broken"]) == (0, 0)
    assert len(set(runs)) == len(runs) == len(lines)
    assert set(runs) <= there
    assert set(often.values()) == {1}


async def load(hook: Served, happen: Callable[[], None]) -> Sent:
    """Send while something happens, each delivery once."""
    sent, over = Sent(), asyncio.Event()

    async def go_on(number: int) -> None:
        sender, count = Sender(hook.port, sent), 0
        while not over.is_set():
            await sender.send(f"{number}-{count}", b'{"number": %d}' % count)
            count += 1
            await asyncio.sleep(PAUSE_S)  # the load, not a wait for anything
        await sender.close()

    senders = [asyncio.create_task(go_on(number)) for number in range(SENDERS)]
    await asyncio.to_thread(happen)
    over.set()
    await asyncio.gather(*senders)
    return sent


async def send_again(hook: Served, refused: list[str]) -> Sent:
    """What a sender does that was told to come back."""
    sent = Sent()
    sender = Sender(hook.port, sent)
    for delivery in refused:
        await sender.send(delivery, b"{}")
    await sender.close()
    return sent


def deliveries(broker: KafkaBroker, topic: str) -> Counter[str]:
    """How often each delivery is in the topic."""
    headers = (dict(message.headers() or ()) for message in records(broker, topic))
    return Counter((found["webhook-delivery"] or b"").decode() for found in headers)


def records(broker: KafkaBroker, topic: str) -> list[Message]:
    """What is committed in the topic."""
    admin, reader = broker.admin(), broker.reader("test")
    try:
        every = [TopicPartition(topic, n) for n in range(admin.describe([topic])[topic].partitions)]
        ends = admin.ends(every)
        reader.assign(dict.fromkeys(every, 0))
        found: list[Message] = []
        while any(reader.positions().get(one, 0) < end for one, end in ends.items()):
            found += reader.read(1_000, 1.0)
        return found
    finally:
        reader.close()
        admin.close()
