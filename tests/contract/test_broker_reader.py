"""Reading partitions in no group: changelogs, tables, other people's topics."""

import pytest

from headrace.runtime.contracts.broker import Message, Reader, TopicPartition
from headrace.runtime.errors import ClosedError, DataLossError, RestartError
from tests.contract.world import WAIT_S, World, numbered


def _read_to(world: World, reader: Reader, positions: dict[TopicPartition, int]) -> list[Message]:
    return world.read_until(lambda: reader.positions() == positions, reader)


def test_a_reader_reads_the_partitions_it_was_given_and_no_others(world: World) -> None:
    topic = world.topic(partitions=3)
    for partition in range(3):
        world.write(topic, numbered(20, first=100 * partition), partition=partition)
    reader = world.reader({TopicPartition(topic, 0): 0, TopicPartition(topic, 2): 15})
    ends = {TopicPartition(topic, 0): 20, TopicPartition(topic, 2): 20}
    found = world.read_until(lambda: reader.positions() == ends, reader)

    assert [one.value() for one in found if one.partition() == 0] == numbered(20)
    assert [one.value() for one in found if one.partition() == 2] == numbered(5, first=215)
    assert len(found) == 25


def test_a_reader_goes_on_with_what_is_written_later(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    reader = world.reader({partition: 0})
    found = world.read_until(lambda: reader.positions() == {partition: 0}, reader)
    for value in numbered(3):
        world.write(topic, [value])
        end = world.admin.ends([partition])
        found += _read_to(world, reader, end)

    assert [one.value() for one in found] == numbered(3)


def test_a_reader_returns_at_most_what_was_asked_for(world: World) -> None:
    topic = world.topic(partitions=2)
    for partition in range(2):
        world.write(topic, numbered(20), partition=partition)
    reader = world.reader({TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0})
    sizes: list[int] = []
    while sum(sizes) < 40:
        sizes.append(len(reader.read(7, 0.05)))

    assert max(sizes) <= 7


def test_positions_are_those_after_the_last_record_that_a_reader_returned(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(10))
    reader = world.reader({partition: 2})
    before = reader.positions()
    found = world.read_until(lambda: reader.positions() != before, reader, count=3)

    assert before == {partition: 2}
    assert reader.positions() == {partition: found[-1].offset() + 1}


def test_a_reader_at_the_end_has_passed_the_markers_of_transactions(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write_committed(topic, numbered(3))
    reader = world.reader({partition: 0})
    found = _read_to(world, reader, {partition: 4})

    assert world.admin.ends([partition]) == {partition: 4}
    assert [one.value() for one in found] == numbered(3)


def test_a_reader_at_the_end_has_passed_records_that_were_aborted(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(2))
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    for value in numbered(3):
        producer.produce(topic, value=value, partition=0)
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)
    reader = world.reader({partition: 0})
    found = _read_to(world, reader, {partition: 6})

    assert world.admin.ends([partition]) == {partition: 6}
    assert [one.value() for one in found] == numbered(2)


def test_a_reader_waits_for_the_end_of_open_transactions(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(2))
    producer = world.producer(world.name("transaction"))
    producer.begin_transaction()
    producer.produce(topic, value=b"later", partition=0)
    producer.flush(WAIT_S)
    world.write(topic, [b"behind it"])
    reader = world.reader({partition: 0})
    before = world.read_until(lambda: reader.positions() == {partition: 2}, reader)
    for _ in range(5):
        before += reader.read(100, 0.05)
    position = reader.positions()
    producer.commit_transaction(WAIT_S)
    after = world.read_until(lambda: reader.positions() == {partition: 5}, reader)

    assert position == {partition: 2}
    assert [one.value() for one in before] == numbered(2)
    assert [one.value() for one in after] == [b"later", b"behind it"]


def test_partitions_that_stay_go_on_where_they_are(world: World) -> None:
    topic = world.topic(partitions=3)
    for partition in range(3):
        world.write(topic, numbered(10), partition=partition)
    goes, stays, comes = (TopicPartition(topic, number) for number in range(3))
    reader = world.reader({goes: 0, stays: 0})
    found = world.read_until(lambda: reader.positions()[stays] >= 4, reader, count=2)
    reader.assign({stays: reader.positions()[stays], comes: 7})
    found += world.read_until(lambda: reader.positions() == {stays: 10, comes: 10}, reader, count=2)
    of_the_gone = [one.offset() for one in found if one.partition() == goes.partition]

    assert [one.offset() for one in found if one.partition() == stays.partition] == [*range(10)]
    assert [one.offset() for one in found if one.partition() == comes.partition] == [7, 8, 9]
    assert of_the_gone == [*range(len(of_the_gone))]


@pytest.mark.parametrize("offset", [3, 9, 10])
def test_partitions_with_another_offset_go_on_from_there(world: World, offset: int) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(12))
    reader = world.reader({partition: 0})
    world.read_until(lambda: reader.positions()[partition] == 6, reader, count=2)
    reader.assign({partition: offset})
    position = reader.positions()
    found = world.read_until(lambda: reader.positions() == {partition: 12}, reader, count=5)

    assert position == {partition: offset}
    assert [one.offset() for one in found] == [*range(offset, 12)]


def test_a_partition_that_comes_back_begins_where_it_is_told_to(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(10))
    reader = world.reader({partition: 0})
    world.read_until(lambda: reader.positions()[partition] == 10, reader)
    reader.assign({})
    nothing = reader.read(10, 0.05), reader.positions()
    reader.assign({partition: 4})
    found = world.read_until(lambda: reader.positions()[partition] == 10, reader)

    assert nothing == ([], {})
    assert [one.offset() for one in found] == [*range(4, 10)]


def test_a_reader_is_in_no_group(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(3))
    name = world.name("reader")
    reader = world.broker.reader(name, {})
    reader.assign({partition: 0})
    world.read_until(lambda: reader.positions() == {partition: 3}, reader)
    members = world.admin.group_members(name)
    reader.close()

    assert members == []
    assert world.admin.group_positions(name) == {}


def test_a_reader_says_that_records_were_deleted(world: World) -> None:
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    world.write(topic, numbered(10))
    world.admin.delete_records({partition: 6})
    reader = world.reader({partition: 2})

    with pytest.raises(DataLossError, match=r"offset 2.*holds 6 to 10") as caught:
        world.read_until(lambda: False, reader)
    assert str(partition) in str(caught.value)


def test_a_reader_says_that_its_position_is_past_the_end(world: World) -> None:
    topic = world.topic()
    world.write(topic, numbered(10))
    reader = world.reader({TopicPartition(topic, 0): 50})

    with pytest.raises(DataLossError, match="offset 50"):
        world.read_until(lambda: False, reader)


@pytest.mark.parametrize("again", [2, 6])
def test_a_reader_can_go_on_after_records_were_lost(world: World, again: int) -> None:
    topic = world.topic(partitions=2)
    lost, whole = TopicPartition(topic, 0), TopicPartition(topic, 1)
    for partition in range(2):
        world.write(topic, numbered(10), partition=partition)
    world.admin.delete_records({lost: 6})
    reader = world.reader({lost: 2, whole: 0})
    with pytest.raises(DataLossError):
        world.read_until(lambda: False, reader, count=1)
    reader.assign({lost: again, whole: reader.positions()[whole]})
    if again == 2:
        with pytest.raises(DataLossError):
            world.read_until(lambda: False, reader, count=1)
    else:
        found = world.read_until(lambda: reader.positions() == {lost: 10, whole: 10}, reader)

        assert [one.offset() for one in found if one.partition() == 0] == [6, 7, 8, 9]


def test_a_reader_stops_at_a_topic_that_does_not_exist(world: World) -> None:
    name = world.name("nowhere")
    reader = world.broker.reader(world.name("reader"), {})

    with pytest.raises(RestartError, match=name):  # noqa: PT012 # either of the two may notice
        reader.assign({TopicPartition(name, 0): 0})
        world.read_until(lambda: False, reader)
    reader.close()


def test_a_reader_can_be_closed_twice(world: World) -> None:
    reader = world.reader({TopicPartition(world.topic(), 0): 0})
    reader.close()
    reader.close()

    assert reader.positions() == {}
    with pytest.raises(ClosedError):
        reader.read(1, 0)
    with pytest.raises(ClosedError):
        reader.assign({})
