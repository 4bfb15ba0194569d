"""The broker goes away for ten seconds under load: every 2xx is in the topic once, all else was answered with an error."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka
from headrace.runtime.contracts.broker import TopicPartition
from tests.webhook.sending import Sender, Sent
from tests.webhook.serving import Served, served

pytestmark = pytest.mark.kafka

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
    admin, reader = broker.admin(), broker.reader("test")
    try:
        every = [TopicPartition(topic, n) for n in range(admin.describe([topic])[topic].partitions)]
        ends = admin.ends(every)
        reader.assign(dict.fromkeys(every, 0))
        found: Counter[str] = Counter()
        while any(reader.positions().get(one, 0) < end for one, end in ends.items()):
            for message in reader.read(1_000, 1.0):
                headers = dict(message.headers() or ())
                found[(headers["webhook-delivery"] or b"").decode()] += 1
        return found
    finally:
        reader.close()
        admin.close()
