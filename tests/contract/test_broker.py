"""Records, offsets and errors: what every broker does alike."""

from random import Random

import pytest

from headrace.runtime.contracts.broker import Reaction, TopicPartition
from headrace.runtime.errors import (
    ClosedError,
    DataLossError,
    HeadraceError,
    RestartError,
    TransactionError,
)
from headrace.runtime.partitioning import partition_of
from tests.contract.world import WAIT_S, World, numbered, produce_patiently

# Partitions of twelve that Kafka's own clients choose for these keys.
MURMUR2_OF_TWELVE = {
    b"": 9,
    b"a": 4,
    b"user-1": 8,
    b"user-22": 3,
    b"k" * 33: 11,
    bytes(range(256)): 10,
}


def test_records_arrive_in_the_order_of_their_partition(world: World) -> None:
    topic = world.topic(partitions=3)
    for partition in range(3):
        world.write(topic, numbered(50, first=100 * partition), partition=partition)

    seen = world.read(topic, 150)

    for partition in range(3):
        values = [one.value() for one in seen if one.partition() == partition]
        assert values == numbered(50, first=100 * partition)


def test_a_record_comes_back_as_it_was_written(world: World) -> None:
    topic = world.topic()
    headers = [("a", b"1"), ("none", None), ("a", b"")]
    world.write(topic, [b"value"], key=b"key", headers=headers, timestamp=1_600_000_000_123)

    message = world.read(topic, 1)[0]

    assert (message.topic(), message.partition(), message.offset()) == (topic, 0, 0)
    assert (message.key(), message.value()) == (b"key", b"value")
    assert message.headers() == headers
    assert message.timestamp() == (1, 1_600_000_000_123)


def test_null_and_empty_are_different(world: World) -> None:
    topic = world.topic()
    producer = world.producer()
    producer.produce(topic, value=None, key=None)
    producer.produce(topic, value=b"", key=b"")
    producer.produce(topic, value=b"text", key="text")
    producer.flush(WAIT_S)

    null, empty, text = world.read(topic, 3)

    assert (null.key(), null.value(), null.headers()) == (None, None, None)
    assert (empty.key(), empty.value()) == (b"", b"")
    assert (text.key(), text.value()) == (b"text", b"text")


def test_a_record_without_a_timestamp_has_the_time_of_its_writing(world: World) -> None:
    topic = world.topic()
    before_ms = world.clock.now_ms()
    world.write(topic, [b"now"])

    kind, time_ms = world.read(topic, 1)[0].timestamp()

    assert kind == 1
    assert time_ms >= before_ms


def test_a_topic_can_be_stamped_by_the_broker(world: World) -> None:
    topic = world.topic(message_timestamp_type="LogAppendTime")
    before_ms = world.clock.now_ms()
    world.write(topic, [b"old"], timestamp=1_000)

    kind, time_ms = world.read(topic, 1)[0].timestamp()

    assert kind == 2
    assert time_ms >= before_ms


def test_a_key_goes_where_the_clients_of_kafka_put_it(world: World) -> None:
    topic = world.topic(partitions=12)
    producer = world.producer()
    for key in MURMUR2_OF_TWELVE:
        producer.produce(topic, value=b"", key=key)
    producer.flush(WAIT_S)

    seen = world.read(topic, len(MURMUR2_OF_TWELVE))

    assert {one.key(): one.partition() for one in seen} == MURMUR2_OF_TWELVE


def test_a_key_goes_to_the_partition_that_can_be_worked_out_from_it(world: World) -> None:
    topic, count = world.topic(partitions=7), 7
    random = Random(7)
    keys = {random.randbytes(random.randrange(40)) for _ in range(200)}
    producer = world.producer()
    for key in keys:
        producer.produce(topic, value=b"", key=key)
    producer.flush(WAIT_S)

    seen = world.read(topic, len(keys))

    assert {one.key(): one.partition() for one in seen} == {
        key: partition_of(key, count) for key in keys
    }


def test_a_delivery_callback_is_told_the_offset(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(3))
    producer = world.producer()
    reports: list[tuple[object, int]] = []
    # The Kafka client reports successes only to a callback of the record's own.
    producer.produce(
        topic, value=b"x", on_delivery=lambda error, one: reports.append((error, one.offset()))
    )
    producer.flush(WAIT_S)

    assert reports in ([(None, 3)], [])


def test_a_record_over_the_limit_is_refused_by_produce(world: World) -> None:
    topic = world.topic()
    producer = world.producer(message_bytes_max=2_000)
    with pytest.raises(Exception) as caught:  # noqa: PT011 # the broker's own exception
        producer.produce(topic, value=b"x" * 3_000)

    assert world.broker.reaction(caught.value) is Reaction.RECORD


def test_a_record_after_a_refused_one_is_taken(world: World) -> None:
    topic = world.topic()
    producer = world.producer(message_bytes_max=2_000)
    with pytest.raises(Exception, match="large"):
        producer.produce(topic, value=b"x" * 3_000)
    producer.produce(topic, value=b"small")
    producer.flush(WAIT_S)

    assert [one.value() for one in world.read(topic, 1)] == [b"small"]


def test_errors_that_are_not_the_clients_have_no_reaction(world: World) -> None:
    producer = world.producer()
    with pytest.raises(Exception) as caught:  # noqa: PT011 # the client's own complaint of types
        producer.produce("topic", value=object())  # type: ignore[arg-type] # that is the point

    assert world.broker.reaction(caught.value) is None
    assert world.broker.reaction(BufferError("full")) is None


def test_a_record_for_a_topic_that_does_not_exist_is_refused(world: World) -> None:
    producer = world.producer(client={"topic.metadata.propagation.max.ms": "100"})
    reaction = None
    try:
        producer.produce("no-such-topic", value=b"x")
        with pytest.raises(TransactionError, match="no-such-topic"):
            producer.flush(WAIT_S)
    except HeadraceError:
        raise
    except Exception as error:  # the broker's own exception
        reaction = world.broker.reaction(error)

    assert reaction in (None, Reaction.RECORD)


def test_a_compacted_topic_takes_no_record_without_a_key(world: World) -> None:
    topic = world.topic(cleanup_policy="compact")
    producer = world.producer()
    producer.produce(topic, value=b"x")

    with pytest.raises(TransactionError, match=topic):
        producer.flush(WAIT_S)


def test_consume_returns_at_most_what_was_asked_for(world: World) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(20), partition=partition)
    member = world.member(world.name("group"), topic)
    member.batch = 7
    sizes: list[int] = []
    while len(member.seen) < 40:
        sizes.append(len(member.step()))

    assert max(sizes) <= 7


def test_positions_are_those_after_the_last_record_returned(world: World) -> None:
    topic = world.topic(partitions=2)
    world.write(topic, numbered(10), partition=1)
    member = world.member(world.name("group"), topic)
    member.batch = 4
    world.until(lambda: bool(member.seen), member)

    offset = member.seen[-1].offset()

    assert member.consumer.positions() == {TopicPartition(topic, 1): offset + 1}


def test_seek_goes_on_from_the_offset(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = world.member(world.name("group"), topic)
    member.batch = 4
    world.until(lambda: len(member.seen) >= 4, member)
    partition = TopicPartition(topic, 0)
    member.consumer.seek({partition: 2})
    positions = member.consumer.positions()
    member.seen.clear()
    world.until(lambda: len(member.seen) >= 8, member)

    assert positions == {partition: 2}
    assert member.values == numbered(8, first=2)
    assert member.consumer.positions() == {partition: 10}


def test_seek_inside_a_batch_of_assignments_works_at_once(world: World) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(6), partition=partition)
    member = world.member(world.name("group"), topic)
    world.until(lambda: bool(member.owned), member)
    member.consumer.seek(dict.fromkeys(member.owned, 5))
    member.seen.clear()
    world.until(lambda: len(member.seen) >= 2, member)

    assert member.values == [b"5", b"5"]


def test_a_paused_partition_gives_nothing_until_it_is_resumed(world: World) -> None:
    topic = world.topic(partitions=2)
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.owned) == 2, member)
    paused = TopicPartition(topic, 0)
    member.consumer.pause([paused])
    for partition in range(2):
        world.write(topic, numbered(5), partition=partition)
    world.until(lambda: len(member.seen) >= 5, member)
    while_paused = {one.partition() for one in member.seen}
    member.consumer.resume([paused])
    world.until(lambda: len(member.seen) >= 10, member)

    assert while_paused == {1}
    assert [one.value() for one in member.seen if one.partition() == 0] == numbered(5)


def test_pause_drops_nothing_that_was_fetched(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(100))
    member = world.member(world.name("group"), topic)
    member.batch = 10
    while len(member.seen) < 100:
        member.step()
        member.consumer.pause(member.owned)
        member.consumer.resume(member.owned)

    assert member.values == numbered(100)


def test_records_deleted_before_they_were_read_are_data_loss(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    partition = TopicPartition(topic, 0)
    world.admin.delete_records({partition: 6})
    member = world.member(world.name("group"), topic)

    with pytest.raises(DataLossError, match=r"offset 0.*holds 6 to 10") as caught:
        world.until(lambda: bool(member.seen), member)

    assert str(partition) in str(caught.value)


def test_a_position_past_the_end_is_data_loss(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.seen) == 10, member)
    member.consumer.seek({TopicPartition(topic, 0): 50})
    member.seen.clear()

    with pytest.raises(DataLossError, match="offset 50"):
        world.until(lambda: bool(member.seen), member)


def test_reading_a_topic_that_does_not_exist_stops(world: World) -> None:
    name = world.name("nowhere")
    member = world.member(world.name("group"), name)

    with pytest.raises(RestartError, match=name):
        world.until(lambda: bool(member.seen), member)


def test_reading_a_topic_that_is_deleted_stops(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(3))
    member = world.member(world.name("group"), topic)
    world.until(lambda: len(member.seen) == 3, member)
    world.admin.delete([topic])

    with pytest.raises(RestartError, match=topic):
        world.until(lambda: len(member.seen) > 3, member)


def test_a_pattern_stands_for_whole_topic_names(world: World) -> None:
    stem = world.name("orders")
    wanted = [world.topic(name=f"{stem}-a"), world.topic(name=f"{stem}-b")]
    world.topic(name=f"{stem}-b-changelog")
    member = world.member(world.name("group"), f"^{stem}-[a-z]")
    world.until(lambda: bool(member.owned), member)
    world.until(lambda: len(member.owned) >= 2, member)

    assert {one.topic for one in member.owned} == set(wanted)


@pytest.mark.parametrize("when", ["assigned", "revoked"])
def test_an_exception_of_the_listener_comes_out_of_the_client(world: World, when: str) -> None:
    topic = world.topic()

    def fail() -> None:
        raise LookupError(when)

    member = world.member(world.name("group"), topic)
    if when == "assigned":
        member.on_assigned = fail
        with pytest.raises(LookupError, match=when):
            world.until(lambda: False, member)
    else:
        world.until(lambda: bool(member.owned), member)
        member.on_revoked = fail
        with pytest.raises(LookupError, match=when):
            member.consumer.close()


def test_everything_can_be_closed_twice(world: World) -> None:
    topic = world.topic()
    producer = world.producer()
    member = world.member(world.name("group"), topic)
    world.until(lambda: bool(member.owned), member)
    for _ in range(2):
        producer.close()
        member.consumer.close()

    assert member.owned == frozenset()
    assert member.consumer.positions() == {}
    with pytest.raises(ClosedError):
        member.consumer.consume(1, 0)
    with pytest.raises(ClosedError):
        producer.flush(1)


def test_close_drops_what_is_not_acknowledged(world: World) -> None:
    topic = world.topic()
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    for value in numbered(1_000):
        produce_patiently(producer, topic, value=value)
    producer.close()
    world.write(topic, [b"after"])

    assert world.admin.offsets([TopicPartition(topic, 0)], "latest")[TopicPartition(topic, 0)] <= 1
