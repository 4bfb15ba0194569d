"""Killing a worker while it works on dead letters that were sent back: each goes on exactly once, in the state, too."""

import uuid
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.cli.planning import plans_of
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import NewTopic, ProducerSettings
from headrace.runtime.deadletters import Choice, LetterBox, Replay
from headrace.runtime.plan import Plan
from headrace.runtime.task.commit import Step
from tests.crash.reading import Found, read_committed
from tests.crash.workers import WAIT_S, Workers, ready

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

KEYS = 7
A_TIME = 28
LETTERS = len(Step) * A_TIME
FLOW = """
name: {name}
stages:
  - {{name: in, action: kafka, config: {{topics: {name}-in}}, out: noted}}
  - {{name: noted, action: publish, config: {{topic: {name}-noted}}, out: priced}}
  - {{name: priced, action: map, config: {{set: {{price: event.{field}}}}}, out: [counted, sink]}}
  - {{name: counted, action: reduce, config: {{aggregate: {{n: count()}}}}, out: counts}}
  - {{name: counts, action: publish, config: {{topic: {name}-counts}}}}
  - {{name: sink, action: publish, config: {{topic: {name}-out}}}}
"""


def feed(brokers: str, topic: str) -> None:
    producer = KafkaBroker(brokers).producer(ProducerSettings(client_id="test"))
    for n in range(LETTERS):
        producer.produce(topic, b'{"n": %d}' % n, key=b"k%d" % (n % KEYS))
    producer.flush(20)
    producer.close()


def first(brokers: str, topic: str, count: int) -> list[Found]:
    """The records of a topic, at least so many, and those of a quiet second behind them."""
    found: list[Found] = []
    silent_s = 0
    for record in read_committed(brokers, [topic]):
        silent_s = silent_s + 1 if record is None else 0
        assert silent_s < WAIT_S, f"{topic} has {len(found)} records for {WAIT_S} s"
        if record is not None:
            found.append(record)
        elif len(found) >= count:
            break
    return found


def send_back(brokers: str, plan: Plan, count: int) -> None:
    assert plan.dead_letter_topic is not None
    with LetterBox(KafkaBroker(brokers), {}, plan.dead_letter_topic, SystemClock()) as box:
        letters = [one for one, _ in islice(box.letters(Choice()), count)]
        assert len(letters) == count
        assert list(Replay(box, plan).send(letters)) == []


def test_what_is_sent_back_goes_on_once_wherever_the_worker_dies(
    kafka_brokers: str, tmp_path: Path
) -> None:
    name = f"replayed-{uuid.uuid4().hex[:8]}"
    document = tmp_path / "flow.yaml"
    admin = KafkaBroker(kafka_brokers).admin()
    topics = [f"{name}-{one}" for one in ("in", "noted", "counts", "out")]
    admin.create([NewTopic(name=topic, partitions=2) for topic in topics])
    admin.close()
    settings = {
        "brokers": kafka_brokers,
        "state_dir": str(tmp_path / "state"),
        "instance_id": "victim",
    }
    workers = Workers(document, tmp_path, {**settings, "group_protocol": "classic"})
    try:
        feed(kafka_brokers, f"{name}-in")
        document.write_text(FLOW.format(name=name, field="missing"))
        failing = workers.start()
        ready(failing)
        first(kafka_brokers, f"headrace.{name}.dead-letters", LETTERS)
        workers.stop(failing)

        document.write_text(FLOW.format(name=name, field="n"))
        (plan,) = plans_of([str(document)], "headrace")
        for step in Step:
            send_back(kafka_brokers, plan, A_TIME)
            workers.wait_killed(workers.start(step))
        last = workers.start()
        ready(last)

        out = first(kafka_brokers, f"{name}-out", LETTERS)
        assert Counter(one.event["price"] for one in out) == Counter(range(LETTERS))
        counts = first(kafka_brokers, f"{name}-counts", KEYS)
        assert {one.key: one.event["n"] for one in counts} == {
            b"k%d" % i: LETTERS // KEYS for i in range(KEYS)
        }
        assert len(first(kafka_brokers, f"{name}-noted", LETTERS)) == LETTERS
        workers.stop(last)
    finally:
        workers.clean_up()
