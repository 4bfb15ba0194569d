"""Tables that every member holds as a whole: read to their ends first, then as they change, and not twice."""

import pytest

from headrace.connectors.memory import MemoryBroker
from headrace.runtime.contracts.broker import NewTopic, TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import DataLossError
from headrace.runtime.state.memory_store import MemoryStore
from headrace.runtime.worker.global_tables import GlobalTables
from tests.unit.running import Running, running

USERS = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: user}
  - {name: user, action: hydrate, config: {table: users, global: true, key: event.u, into: user}, out: text}
  - {name: text, action: hydrate, config: {table: users, global: true, key: event.u, into: text, format: text}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


class CountingReaders:
    """Readers of a broker; `count` is how many records they have returned."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.count = 0

    def __call__(self) -> "CountingReaders":
        self._reader = self._broker.reader("tables", {})
        self.assign, self.positions = self._reader.assign, self._reader.positions
        self.close = self._reader.close
        return self

    def read(self, count: int, timeout_s: float) -> object:
        found = self._reader.read(count, timeout_s)
        self.count += len(found)
        return found


class World:
    """A broker with the table, one store, and tables that are opened on it again and again."""

    def __init__(self) -> None:
        self.run: Running = running(USERS, topics=["in", "users"], partitions=2)
        self.store: Store = MemoryStore()
        self.readers = CountingReaders(self.run.broker)

    def put(self, key: str, value: object, partition: int = 0) -> None:
        self.run.feed(value, "users", key=key, partition=partition)

    def opened(self, *, is_read: bool = True) -> GlobalTables:
        self.readers.count = 0
        tables = GlobalTables(
            self.run.plans,
            self.store,
            self.run.broker.admin(),
            self.run.topics.partitions,
            self.readers,  # type: ignore[arg-type] # what is called of a reader is there
        )
        while is_read and not tables.is_ready:
            tables.poll()
        return tables


@pytest.fixture
def world() -> World:
    return World()


def row(tables: GlobalTables, key: str) -> object:
    return tables.lookup("flow", "user", key.encode())


def test_a_table_is_ready_when_it_was_read_to_the_end_that_it_had_at_the_start(
    world: World,
) -> None:
    world.put("a", 1)
    tables = world.opened(is_read=False)
    world.put("a", 2)
    assert not tables.is_ready

    tables.poll()

    assert tables.is_ready
    assert row(tables, "a") == 2


def test_an_empty_table_is_ready_at_once(world: World) -> None:
    assert world.opened(is_read=False).is_ready


def test_rows_change_and_go_also_where_they_were_looked_up_before(world: World) -> None:
    world.put("a", 1)
    world.put("b", 1)
    tables = world.opened()
    before = row(tables, "a"), row(tables, "b"), row(tables, "c")

    world.put("a", 2)
    world.put("b", None)
    world.put("c", 3)
    tables.poll()

    assert before == (1, 1, None)
    assert (row(tables, "a"), row(tables, "b"), row(tables, "c")) == (2, None, 3)


def test_two_stages_may_read_one_table_in_two_formats(world: World) -> None:
    world.put("a", {"n": 1})
    tables = world.opened()

    for _ in range(2):
        assert row(tables, "a") == {"n": 1}
        assert tables.lookup("flow", "text", b"a") == '{"n":1}'
        world.put("a", {"n": 1})
        tables.poll()


def test_a_restart_reads_only_what_is_new(world: World) -> None:
    for number in range(10):
        world.put(f"k{number}", number)
    world.opened().close()
    world.put("k3", 30)

    tables = world.opened()

    assert world.readers.count == 1
    assert (row(tables, "k3"), row(tables, "k4")) == (30, 4)


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(world: World) -> None:
    for partition in (0, 1):
        for number in range(5):
            world.put(f"{partition}-{number}", number, partition)
    world.opened().close()
    world.run.broker.admin().delete(["users"])
    world.run.broker.admin().create([NewTopic(name="users", partitions=2)])
    for number in range(6):
        world.put(f"new-{number}", number, 1)  # this partition goes further than the earlier one

    tables = world.opened()

    assert [row(tables, f"new-{number}") for number in range(6)] == [0, 1, 2, 3, 4, 5]
    assert row(tables, "0-1") is row(tables, "1-1") is None


def test_rows_of_other_partitions_stay_where_one_was_deleted_in_part(world: World) -> None:
    for partition in (0, 1):
        for number in range(3):
            world.put(f"{partition}-{number}", number, partition)
    world.opened().close()
    for number in (3, 4):
        world.put(f"0-{number}", number)
    world.run.broker.admin().delete_records({TopicPartition("users", 0): 4})

    tables = world.opened()

    assert [row(tables, f"1-{number}") for number in range(3)] == [0, 1, 2]
    assert row(tables, "0-4") == 4
    assert row(tables, "0-0") is None


def test_rows_do_not_outlive_a_topic_that_was_deleted_under_way(world: World) -> None:
    world.put("a", 1)
    world.put("b", 2)
    tables = world.opened()
    world.run.broker.admin().delete(["users"])
    world.run.broker.admin().create([NewTopic(name="users", partitions=2)])
    world.put("b", 20)

    with pytest.raises(DataLossError):
        tables.poll()
    again = world.opened()

    assert (row(again, "a"), row(again, "b")) == (None, 20)


def test_a_row_that_cannot_be_decoded_fails_the_record_that_asks_for_it(world: World) -> None:
    world.put("a", b"{nope")
    world.run.run({"u": "a"}, {"u": "b"})

    assert [one["u"] for one in world.run.data("out")] == ["b"]
    assert [one.headers["headrace-stage"] for one in world.run.dead_letters] == [b"user"]


@pytest.mark.parametrize("timestamp", ["", ", timestamp: event.t"])
def test_a_record_without_key_has_none_behind_a_global_table_either(timestamp: str) -> None:
    text = USERS.replace("{topics: in}", f"{{topics: in{timestamp}}}")
    run = running(text, topics=["in", "users"])
    run.feed({"n": 1}, "users", key="a")

    run.run({"u": "a", "t": 5})

    assert [one.key for one in run.read("out")] == [None]
