"""The local broker, as tests, demonstrations and `headrace broker` start it."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings, LocalKafkaStartError
from headrace.connectors.local_kafka.process import DetachedProcess, process_identity
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    ConsumerSettings,
    NewTopic,
    ProducerSettings,
    TopicPartition,
)

pytestmark = pytest.mark.kafka


def create(brokers: str, name: str) -> None:
    admin = KafkaBroker(brokers).admin()
    admin.create([NewTopic(name=name, partitions=1)])
    admin.close()


def produce(brokers: str, topic: str, *values: bytes) -> None:
    producer = KafkaBroker(brokers).producer(ProducerSettings(client_id="test"))
    for value in values:
        producer.produce(topic, value)
    producer.flush(20)
    producer.close()


def end_of(brokers: str, topic: str) -> int:
    admin = KafkaBroker(brokers).admin()
    partition = TopicPartition(topic, 0)
    try:
        return admin.offsets([partition], "latest")[partition]
    finally:
        admin.close()


def test_a_started_broker_takes_records(kafka_brokers: str, topic: Callable[..., str]) -> None:
    orders = topic("orders", partitions=3)

    produce(kafka_brokers, orders, b"1", b"2")

    admin = KafkaBroker(kafka_brokers).admin()
    partitions = [TopicPartition(orders, number) for number in range(3)]
    assert admin.topics()[orders] == 3
    assert sum(admin.offsets(partitions, "latest").values()) == 2
    admin.close()


def test_a_topic_is_not_made_by_naming_it(kafka_brokers: str) -> None:
    consumer = KafkaBroker(kafka_brokers).consumer(ConsumerSettings(group="g", client_id="test"))

    admin = KafkaBroker(kafka_brokers).admin()
    assert admin.describe(["never-made"]) == {}
    assert "never-made" not in admin.topics()
    admin.close()
    consumer.close()


def test_a_killed_broker_comes_back_on_the_same_port_with_its_records(
    own_kafka: LocalKafka,
) -> None:
    create(own_kafka.brokers, "orders")
    produce(own_kafka.brokers, "orders", b"1", b"2")
    before = own_kafka.brokers

    own_kafka.kill()
    assert not own_kafka.is_running
    own_kafka.restart()

    assert own_kafka.brokers == before
    assert end_of(own_kafka.brokers, "orders") == 2


def test_a_named_data_folder_keeps_topics_over_brokers(tmp_path: Path) -> None:
    settings = LocalKafkaSettings(data=tmp_path / "data")
    with LocalKafka(settings) as kafka:
        create(kafka.brokers, "orders")
        produce(kafka.brokers, "orders", b"1")

    with LocalKafka(settings) as kafka:
        assert end_of(kafka.brokers, "orders") == 1


def test_stop_ends_the_process_and_throws_temporary_data_away() -> None:
    kafka = LocalKafka()
    kafka.start()
    data, process = kafka.data, kafka.process
    assert process is not None
    assert data.is_dir()

    kafka.stop()
    kafka.stop()

    assert process_identity(process.pid) is None
    assert not data.exists()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(LocalKafkaStartError, match=f"port {port} of 127.0.0.1 is taken"):
            LocalKafka(LocalKafkaSettings(port=port)).start()


def test_a_data_folder_in_use_is_named_with_the_port_of_its_broker(tmp_path: Path) -> None:
    with LocalKafka(LocalKafkaSettings(data=tmp_path / "data")) as first:
        second = LocalKafka(LocalKafkaSettings(data=tmp_path / "data"))

        with pytest.raises(
            LocalKafkaStartError, match=rf"in use by another broker \(on port {first.port}\)"
        ):
            second.start()

        assert first.is_running


def test_a_property_that_kafka_refuses_is_named_and_nothing_is_left_running(tmp_path: Path) -> None:
    settings = LocalKafkaSettings(data=tmp_path / "data", properties={"num.partitions": "none"})
    kafka = LocalKafka(settings)

    with pytest.raises(
        LocalKafkaStartError, match=r"refused one of its properties: .*num\.partitions"
    ):
        kafka.start()

    assert not kafka.is_running
    assert not (tmp_path / "data" / "kafka").exists()


def test_a_broker_outlives_the_thread_that_started_it() -> None:
    kafka = LocalKafka()
    thread = threading.Thread(target=kafka.start)
    thread.start()
    thread.join()

    create(kafka.brokers, "orders")

    assert end_of(kafka.brokers, "orders") == 0
    kafka.stop()


PARENT = """
import sys
from collections.abc import Callable
from headrace.connectors.local_kafka import LocalKafka
kafka = LocalKafka()
kafka.start()
print(kafka.process.pid, kafka.data, flush=True)
sys.stdin.read()
"""


def test_a_broker_ends_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, data = parent.stdout.readline().split()
    broker = DetachedProcess(int(pid), process_identity(int(pid)) or "")
    assert broker.is_running()

    parent.send_signal(signal.SIGKILL)
    parent.communicate()

    assert broker.wait(20)
    assert _vanishes(Path(data))


def _vanishes(path: Path) -> bool:
    """Whether it is gone within ten seconds; the process that deletes it is not ours to wait for."""
    clock = SystemClock()
    for _ in range(200):
        if not path.exists():
            return True
        clock.sleep(0.05)
    return False
