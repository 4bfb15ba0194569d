"""The worker on a real broker: embedded in a service, and met with everything that can be wrong from outside."""

import asyncio
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place

from headrace import Flow, SettingsError, Worker, flow
from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.errors import (
    BrokerUnavailableError,
    DataLossError,
    FlowStoppedError,
    RestartError,
)

pytestmark = pytest.mark.kafka

WAIT_S = 60.0


class Cluster:
    """What a test does to the broker from outside of headrace."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.brokers = brokers
        self.unique = uuid.uuid4().hex[:8]
        self.admin = KafkaBroker(brokers).admin()
        self.settings: dict[str, Any] = {"brokers": brokers, "state_dir": folder / "state"}

    def topic(self, name: str, partitions: int = 2, **config: str) -> str:
        full = f"{name}-{self.unique}"
        given = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create([NewTopic(name=full, partitions=partitions, config=given)])
        return full

    def send(self, topic: str, *values: object, timestamp: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.brokers, "message.max.bytes": 5_000_000})
        for value in values:
            raw = value if isinstance(value, bytes | None) else orjson.dumps(value)
            producer.produce(topic, raw, "key", timestamp=timestamp)
        assert producer.flush(30) == 0

    def received(self, topic: str, count: int) -> list[Any]:
        """The values of `count` records, as a read-committed reader sees them."""
        consumer = Consumer(
            {"bootstrap.servers": self.brokers, "group.id": "reader", "enable.auto.commit": False}
        )
        consumer.assign([Place(topic, p, 0) for p in range(self.admin.topics()[topic])])
        found: list[Any] = []
        try:
            for _ in range(int(WAIT_S)):
                messages = consumer.consume(10_000, 1.0)
                found += [orjson.loads(message.value() or b"null") for message in messages]
                if len(found) >= count and not messages:
                    break
        finally:
            consumer.close()
        return found


@pytest.fixture
def cluster(kafka_brokers: str, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(kafka_brokers, tmp_path)
    yield made
    made.admin.close()


def copying(source: str, sink: str, name: str = "", **publish: Any) -> Flow:
    """A flow that copies records which have a field `n`."""
    made = flow(name or f"copy {source}")
    made.kafka("in", topics=source).filter("has n", where="event.n >= 0").publish(
        "out", topic=sink, **publish
    )
    return made.build()


async def until_read(worker: Worker, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while worker.statistics().records_read < count or not worker.statistics().commits:
            await asyncio.sleep(0.02)


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def test_a_flow_runs_inside_of_an_asyncio_service(cluster: Cluster) -> None:
    source, sink = cluster.topic("in"), cluster.topic("out")
    cluster.send(source, {"n": 1}, {"n": 2})

    async def service() -> int:
        async with Worker(copying(source, sink), **cluster.settings) as worker:
            await until_read(worker, 2)
        return worker.statistics().records_read

    assert run(service()) == 2
    assert cluster.received(sink, 2) == [{"n": 1}, {"n": 2}]


def test_what_was_committed_is_not_read_again_by_the_next_worker(cluster: Cluster) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    made = copying(source, sink)

    async def once(more: int) -> None:
        cluster.send(source, {"n": more})
        async with Worker(made, **cluster.settings) as worker:
            await until_read(worker, 1)

    run(once(1))
    run(once(2))

    assert cluster.received(sink, 2) == [{"n": 1}, {"n": 2}]


def test_flows_of_one_group_share_a_consumer_and_each_gets_every_record(cluster: Cluster) -> None:
    source, first, second = cluster.topic("in"), cluster.topic("a"), cluster.topic("b")
    one = copying(source, first, f"one {cluster.unique}").model_copy(
        update={"group": cluster.unique}
    )
    two = copying(source, second, f"two {cluster.unique}").model_copy(
        update={"group": cluster.unique}
    )
    cluster.send(source, {"n": 1})

    async def both() -> int:
        async with Worker([one, two], **cluster.settings) as worker:
            await until_read(worker, 1)
            return worker.statistics().records_read

    assert run(both()) == 1
    assert cluster.received(first, 1) == cluster.received(second, 1) == [{"n": 1}]


def test_missing_topics_are_all_named_with_what_to_do(cluster: Cluster) -> None:
    source = cluster.topic("orders")
    wrong = copying(source.replace("orders", "order"), f"nowhere-{cluster.unique}")

    async def start() -> None:
        async with Worker(wrong, **cluster.settings):
            pass

    with pytest.raises(SettingsError) as caught:
        run(start())

    assert f"did you mean '{source}'" in str(caught.value)
    assert f"writes to topic 'nowhere-{cluster.unique}', which does not exist" in str(caught.value)
    assert "--create-topics" in str(caught.value)


def test_topics_are_created_like_those_that_the_flow_reads(cluster: Cluster) -> None:
    source = cluster.topic("in", 3, retention_ms="-1")
    sink = f"new-{cluster.unique}"

    async def start() -> None:
        async with Worker(copying(source, sink), create_topics=True, **cluster.settings):
            pass

    run(start())
    made = cluster.admin.describe([sink])[sink]

    assert (made.partitions, made.retention_ms) == (3, -1)


def test_a_broker_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    async def start() -> None:
        async with Worker(copying("in", "out"), brokers="127.0.0.1:9", state_dir=tmp_path):
            pass

    with pytest.raises(BrokerUnavailableError, match=r"no broker answered at 127\.0\.0\.1:9"):
        run(start())


def test_a_state_directory_that_cannot_be_written_is_named(
    cluster: Cluster, tmp_path: Path
) -> None:
    source, sink = cluster.topic("in"), cluster.topic("out")
    file = tmp_path / "file"
    file.write_text("not a folder")

    async def start() -> None:
        async with Worker(copying(source, sink), brokers=cluster.brokers, state_dir=file):
            pass

    with pytest.raises(SettingsError, match="state directory"):
        run(start())


def test_a_record_that_is_not_json_and_one_without_the_field_are_kept_aside(
    cluster: Cluster,
) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    made = copying(source, sink)
    cluster.send(source, b"{nope", {"m": 1}, {"n": 3})

    async def start() -> dict[tuple[str, str, str], int]:
        async with Worker(made, **cluster.settings) as worker:
            await until_read(worker, 3)
        return dict(worker.statistics().failed)

    assert run(start()) == {
        (made.name, "in", "dead_letter"): 1,
        (made.name, "has n", "dead_letter"): 1,
    }
    assert cluster.received(sink, 1) == [{"n": 3}]


def test_a_record_that_is_too_large_for_its_topic_is_kept_aside(cluster: Cluster) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1, max_message_bytes="2000")
    made = copying(source, sink)
    cluster.send(source, {"n": 1, "text": "x" * 5_000}, {"n": 2})

    async def start() -> dict[tuple[str, str, str], int]:
        async with Worker(made, **cluster.settings) as worker:
            await until_read(worker, 2)
        return dict(worker.statistics().failed)

    assert run(start()) == {(made.name, "out", "dead_letter"): 1}
    assert cluster.received(sink, 1) == [{"n": 2}]


def test_a_record_larger_than_any_topic_takes_by_default_is_carried_where_topics_allow_it(
    cluster: Cluster,
) -> None:
    large = "3000000"
    source = cluster.topic("in", 1, max_message_bytes=large)
    sink = cluster.topic("out", 1, max_message_bytes=large)
    cluster.send(source, {"n": 1, "text": "x" * 2_000_000})

    async def start() -> None:
        async with Worker(copying(source, sink), **cluster.settings) as worker:
            await until_read(worker, 1)

    run(start())

    assert [len(value["text"]) for value in cluster.received(sink, 1)] == [2_000_000]


def test_a_flow_stops_before_retention_would_eat_what_it_writes(cluster: Cluster) -> None:
    source = cluster.topic("in", 1, retention_ms="-1")
    sink = cluster.topic("out", 1, retention_ms="3600000")
    cluster.send(source, {"n": 1}, timestamp=1_600_000_000_000)

    async def start(**publish: Any) -> None:
        async with Worker(copying(source, sink, **publish), **cluster.settings) as worker:
            async with asyncio.timeout(WAIT_S):
                await worker.wait()

    with pytest.raises(
        DataLossError, match=r"1h for which that topic keeps records.*retention\.ms=-1"
    ):
        run(start())
    with pytest.raises(TimeoutError):
        run(asyncio.wait_for(start(timestamp="now"), 8))
    assert cluster.received(sink, 1) == [{"n": 1}]


def test_records_that_were_deleted_before_they_were_read_stop_a_flow_unless_it_may_go_on(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    name = f"lossy {cluster.unique}"
    cluster.send(source, {"n": 0})

    async def start(on_data_loss: str, count: int) -> None:
        made = flow(name)
        trigger = made.kafka("in", topics=source, on_data_loss=on_data_loss)
        trigger.publish("out", topic=sink)
        async with Worker(made.build(), **cluster.settings) as worker:
            waiting = asyncio.create_task(worker.wait())
            reading = asyncio.create_task(until_read(worker, count))
            done, _ = await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()
            waiting.cancel()
            for task in done:
                task.result()

    run(start("fail", 1))
    cluster.send(source, {"n": 1}, {"n": 2}, {"n": 3})
    cluster.admin.delete_records({TopicPartition(source, 0): 3})

    with pytest.raises(DataLossError, match="records were deleted before the flow read them"):
        run(start("fail", 1))
    with caplog.at_level(logging.ERROR):
        run(start("continue", 1))
    assert cluster.received(sink, 2) == [{"n": 0}, {"n": 3}]
    assert "going on with what is left" in caplog.text


def test_start_latest_means_the_first_start_and_loses_nothing_over_a_restart(
    cluster: Cluster,
) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    made = flow(f"latest {cluster.unique}")
    made.kafka("in", topics=source, start="latest").publish("out", topic=sink)
    cluster.send(source, {"n": "before"})

    async def start(count: int) -> None:
        async with Worker(made.build(), **cluster.settings) as worker, asyncio.timeout(WAIT_S):
            while not worker.statistics().commits or worker.statistics().records_read < count:
                await asyncio.sleep(0.02)

    run(start(0))
    cluster.send(source, {"n": "between"})
    run(start(1))

    assert cluster.received(sink, 1) == [{"n": "between"}]


def test_a_topic_that_is_deleted_while_it_is_read_ends_the_worker(cluster: Cluster) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    cluster.send(source, {"n": 1})

    async def start() -> None:
        async with Worker(copying(source, sink), **cluster.settings) as worker:
            await until_read(worker, 1)
            await asyncio.to_thread(cluster.admin.delete, [source])
            async with asyncio.timeout(WAIT_S):
                await worker.wait()

    with pytest.raises(RestartError, match=f"topic '{source}' does not exist"):
        run(start())


def test_on_error_fail_ends_the_worker_and_commits_nothing_of_the_transaction(
    cluster: Cluster,
) -> None:
    source, sink = cluster.topic("in", 1), cluster.topic("out", 1)
    made = flow(f"strict {cluster.unique}")
    made.kafka("in", topics=source).filter("n", where="event.n >= 0", on_error="fail").publish(
        "out", topic=sink
    )
    cluster.send(source, {"n": 1}, {"m": 2})

    async def start() -> None:
        async with Worker(made.build(), **cluster.settings) as worker, asyncio.timeout(WAIT_S):
            await worker.wait()

    with pytest.raises(FlowStoppedError, match=r"event has no field 'n'; it has m"):
        run(start())
    assert cluster.received(sink, 0) == []
    assert cluster.admin.group_positions(f"headrace.strict-{cluster.unique}") in (
        {},
        {TopicPartition(source, 0): 0},
    )


def test_a_topic_that_an_expression_names_is_created_when_it_may_be(cluster: Cluster) -> None:
    source = cluster.topic("in", 1)
    made = flow(f"dynamic {cluster.unique}")
    made.kafka("in", topics=source).publish("out", topic=f"out-${{event.kind}}-{cluster.unique}")
    cluster.send(source, {"kind": "a"}, {"kind": "b"})

    async def start(count: int, **more: Any) -> dict[tuple[str, str, str], int]:
        async with Worker(made.build(), **cluster.settings, **more) as worker:
            await until_read(worker, count)
        return dict(worker.statistics().failed)

    assert run(start(2)) == {(f"dynamic {cluster.unique}", "out", "dead_letter"): 2}
    cluster.send(source, {"kind": "a"})
    assert run(start(1, create_topics=True)) == {}
    assert cluster.received(f"out-a-{cluster.unique}", 1) == [{"kind": "a"}]
