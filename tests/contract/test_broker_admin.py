"""Administration: topics, offsets and the positions of groups."""

import pytest

from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.errors import ClosedError, RestartError
from tests.contract.world import WAIT_S, World, numbered


def test_the_cluster_names_its_nodes(world: World) -> None:
    cluster = world.admin.cluster()

    assert cluster.cluster_id
    assert cluster.controller in cluster.nodes


def test_a_new_topic_is_known_at_once(world: World) -> None:
    topic = world.topic(partitions=3)

    assert world.admin.topics()[topic] == 3


def test_internal_topics_are_not_listed(world: World) -> None:
    member = world.member(world.name("group"), world.topic())
    world.until(lambda: bool(member.owned), member)

    assert [name for name in world.admin.topics() if name.startswith("__")] == []


def test_topics_that_exist_are_described(world: World) -> None:
    topic = world.topic(partitions=2, retention_ms="3600000", max_message_bytes="2000000")
    described = world.admin.describe([topic, "no-such-topic"])

    assert list(described) == [topic]
    assert described[topic].partitions == 2
    assert described[topic].replication_factor == 1
    assert described[topic].retention_ms == 3_600_000
    assert described[topic].message_bytes_max == 2_000_000
    assert not described[topic].is_stamped_by_broker


def test_a_compacted_topic_keeps_its_records_for_ever(world: World) -> None:
    topic = world.topic(cleanup_policy="compact")

    assert world.admin.describe([topic])[topic].retention_ms == -1


def test_nothing_is_described_for_no_names(world: World) -> None:
    assert world.admin.describe([]) == {}
    assert world.admin.describe(["no-such-topic"]) == {}


def test_a_topic_that_exists_is_left_as_it_is(world: World) -> None:
    topic = world.topic(partitions=2)
    world.write(topic, numbered(3))
    world.admin.create([NewTopic(name=topic, partitions=7)])

    assert world.admin.topics()[topic] == 2
    assert len(world.read(topic, 3)) == 3


def test_the_broker_decides_where_nothing_is_asked_for(world: World) -> None:
    topic = world.topic(partitions=-1)

    assert world.admin.topics()[topic] >= 1


def test_a_topic_without_a_legal_name_is_refused(world: World) -> None:
    with pytest.raises(RestartError, match="not/legal"):
        world.admin.create([NewTopic(name="not/legal", partitions=1)])


def test_a_deleted_topic_is_gone_at_once(world: World) -> None:
    topic = world.topic()
    world.admin.delete([topic, "no-such-topic"])

    assert topic not in world.admin.topics()


def test_a_topic_can_be_made_anew_after_it_was_deleted(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(3))
    world.admin.delete([topic])
    world.topic(name=topic)
    world.write(topic, [b"new"])

    assert [one.value() for one in world.read(topic, 1)] == [b"new"]


def test_a_topic_can_grow(world: World) -> None:
    topic = world.topic(partitions=2)
    world.admin.add_partitions(topic, 5)
    world.admin.add_partitions(topic, 5)
    world.write(topic, [b"new"], partition=4)

    assert world.admin.topics()[topic] == 5
    assert world.read(topic, 1)[0].partition() == 4


def test_a_topic_cannot_shrink(world: World) -> None:
    topic = world.topic(partitions=2)

    with pytest.raises(RestartError, match=topic):
        world.admin.add_partitions(topic, 1)


def test_offsets_are_found_by_end_and_time(world: World) -> None:
    topic = world.topic(partitions=2)
    written, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    for number in range(5):
        world.write(topic, [b"x"], timestamp=1_600_000_000_000 + 10 * number)
    both = [written, empty]

    assert world.admin.offsets(both, "earliest") == {written: 0, empty: 0}
    assert world.admin.offsets(both, "latest") == {written: 5, empty: 0}
    assert world.admin.offsets(both, 1_600_000_000_015) == {written: 2, empty: 0}
    assert world.admin.offsets(both, 1_600_000_000_020) == {written: 2, empty: 0}
    assert world.admin.offsets(both, 1_700_000_000_000) == {written: 5, empty: 0}
    assert world.admin.offsets([], "latest") == {}


def test_offsets_of_a_topic_that_does_not_exist_are_refused(world: World) -> None:
    with pytest.raises(RestartError, match="no-such-topic"):
        world.admin.offsets([TopicPartition("no-such-topic", 0)], "latest")


def test_deleted_records_move_the_beginning(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(10))
    world.admin.delete_records({partition: 4})

    assert world.admin.offsets([partition], "earliest") == {partition: 4}
    assert world.admin.offsets([partition], "latest") == {partition: 10}


def test_records_cannot_be_deleted_past_the_end(world: World) -> None:
    topic = world.topic()

    with pytest.raises(RestartError, match=topic):
        world.admin.delete_records({TopicPartition(topic, 0): 4})


def test_ends_count_the_records_of_open_transactions(world: World) -> None:
    topic = world.topic(partitions=2)
    written, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    world.write(topic, numbered(3))
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    for value in numbered(2):
        producer.produce(topic, value=value, partition=0)
    producer.flush(WAIT_S)

    assert world.admin.offsets([written], "latest") == {written: 3}
    assert world.admin.ends([written, empty]) == {written: 5, empty: 0}
    assert world.admin.ends([]) == {}
    producer.abort_transaction(WAIT_S)
    world.until(lambda: world.admin.ends([written]) == {written: 6})


def test_ends_of_a_topic_that_does_not_exist_are_refused(world: World) -> None:
    with pytest.raises(RestartError, match="no-such-topic"):
        world.admin.ends([TopicPartition("no-such-topic", 0)])


def test_a_group_that_does_not_exist_has_no_members(world: World) -> None:
    assert world.admin.group_members(world.name("group")) == []


def test_the_positions_of_a_group_can_be_read_and_forgotten(world: World) -> None:
    topic, group = world.topic(), world.name("group")
    world.write(topic, numbered(3))
    member = world.member(group, topic)
    world.until(lambda: len(member.seen) == 3, member)
    member.commit()
    member.consumer.close()
    found = world.admin.group_positions(group)
    world.admin.delete_group(group)

    assert found == {TopicPartition(topic, 0): 3}
    assert world.admin.group_positions(group) == {}


def test_a_group_that_does_not_exist_has_no_positions(world: World) -> None:
    group = world.name("group")
    world.admin.delete_group(group)

    assert world.admin.group_positions(group) == {}


def test_administration_can_be_closed_twice(world: World) -> None:
    admin = world.broker.admin()
    admin.close()
    admin.close()

    with pytest.raises(ClosedError):
        admin.topics()
