"""The embedded engine, with Java and a PostgreSQL."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from headrace.connectors.cdc.debezium import feed as feed_module
from headrace.connectors.cdc.debezium.feed import DebeziumFeed
from headrace.connectors.cdc.debezium.process import EngineProcess
from headrace.connectors.cdc.errors import CaptureError, ChangesLostError
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.mysql.topics import Found, copy_of, records, wait_for
from tests.cdc.places import Running, config_of, run
from tests.cdc.postgres_server import PASSWORD, PostgresServer

TABLE = "create table orders (id bigint primary key, v text, amount numeric(10,2))"
TOPIC = "copy.public.orders"
SECRET = PASSWORD.replace(" ", "%20")


@dataclass
class Shop:
    """A database, and captures of it into one broker."""

    server: PostgresServer
    name: str
    broker: MemoryBroker
    place: str

    @property
    def slot(self) -> str:
        return self.place.replace(".", "_")

    def sql(self, *statements: str) -> Any:
        return self.server.execute(self.name, *statements)

    def capture(self, **fields: Any) -> Running:
        url = self.server.url(self.name).replace(SECRET, "${secret.PASSWORD}")
        config = config_of(
            **{
                "url": url,
                "tables": ["orders"],
                "engine": "debezium",
                "heartbeat": "500ms",
                **fields,
            }
        )
        feed = DebeziumFeed(config, "copy")
        return run(feed, name=self.place, broker=self.broker, secrets={"PASSWORD": SECRET})

    def drop(self) -> None:
        self.server.execute(
            "postgres",
            "select pg_terminate_backend(active_pid) from pg_replication_slots"
            f" where database = '{self.name}' and active",
        )
        clock = SystemClock()
        while self.sql(
            f"select 1 from pg_replication_slots where active and slot_name = '{self.slot}'"
        ):
            clock.sleep(0.02)
        self.sql(
            f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{self.slot}'"
        )


@pytest.fixture
def shop(postgres: PostgresServer) -> Iterator[Shop]:
    name = f"shop_{uuid.uuid4().hex[:8]}"
    postgres.execute("postgres", f"create database {name}")
    one = Shop(postgres, name, MemoryBroker(clock=SystemClock()), f"headrace.{name}.changes")
    one.sql(TABLE, "insert into orders values (1, 'ann', 1), (2, 'bob', 2)")
    yield one
    one.drop()
    postgres.execute("postgres", f"drop database {name} with (force)")


def operations(found: list[Found]) -> list[tuple[str, Any]]:
    return [(one.op, one.key and one.key.get("id")) for one in found]


def count(number: int) -> Callable[[list[Found]], bool]:
    return lambda found: len(found) >= number


def ended_by(one: Running, feed_error: type[CaptureError]) -> CaptureError:
    with pytest.raises(feed_error) as caught:
        one.join()
    assert SECRET not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_rows_come_first_and_then_every_change_and_the_position_moves_on_alone(shop: Shop) -> None:
    feed = shop.capture()
    feed.reports.state("running")
    shop.sql(
        "insert into orders values (3, 'eve', 3)",
        "update orders set amount = 4 where id = 3",
        "delete from orders where id = 1",
        "update orders set id = 9 where id = 2",
        "truncate orders",
        "create table other (id int)",
        "insert into other values (1)",
    )
    end = int(shop.sql("select pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])
    found = wait_for(shop.broker, TOPIC, count(10), feed)
    confirmed = (
        "select confirmed_flush_lsn - '0/0'::pg_lsn from pg_replication_slots where slot_name = %s"
    )
    clock = SystemClock()
    while int(shop.sql(confirmed.replace("%s", f"'{shop.slot}'"))[0][0]) < end:
        clock.sleep(0.1)
    feed.stop()

    assert operations(found) == [
        *(("r", 1), ("r", 2), ("c", 3), ("u", 3), ("d", 1), ("tombstone", 1)),
        *(("d", 2), ("tombstone", 2), ("c", 9), ("t", None)),
    ]
    assert found[3].value["after"] == {"id": 3, "v": "eve", "amount": "4.00"}
    assert found[2].timestamp_ms == found[2].value["source"]["ts_ms"]
    assert found[2].headers == []


def test_a_capture_goes_on_where_it_was(shop: Shop) -> None:
    for number in (3, 4):
        feed = shop.capture()
        feed.reports.state("running")
        shop.sql(f"insert into orders values ({number}, 'x', 1)")
        wait_for(shop.broker, TOPIC, count(2 * number - 3), feed)
        feed.stop()
        shop.sql(f"update orders set v = 'y' where id = {number}")

    feed = shop.capture()
    found = wait_for(shop.broker, TOPIC, count(6), feed)
    feed.stop()

    assert operations(found) == [("r", 1), ("r", 2), ("c", 3), ("u", 3), ("c", 4), ("u", 4)]


def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost_or_doubled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Watched(EngineProcess):
        def __enter__(self) -> EngineProcess:
            found = super().__enter__()
            started.append(found.pid)
            return found

    monkeypatch.setattr(feed_module, "EngineProcess", Watched)
    feed = shop.capture(batch_rows=100)
    feed.reports.state("running")
    for kill in range(3):
        first = 1000 * (kill + 1)
        shop.sql(
            f"insert into orders select i, 'x', 0 from generate_series({first}, {first + 899}) i",
            f"update orders set amount = 1 where id between {first} and {first + 99}",
        )
        wait_for(shop.broker, TOPIC, count(2 + kill * 1000 + 50), feed)
        os.kill(started[-1], signal.SIGKILL)
        feed.reports.wait(lambda one: "ended with code -9" in one.text)
        feed.reports.all.clear()
    found = wait_for(shop.broker, TOPIC, count(2 + 3 * 1000), feed)
    feed.stop()

    assert len(found) == 2 + 3 * 1000
    assert len({(one.op, one.key["id"], one.value["source"]["lsn"]) for one in found}) == len(found)
    assert len(copy_of(found)) == 2 + 3 * 900


def test_a_transaction_that_fails_is_written_again_once(shop: Shop) -> None:
    feed = shop.capture()
    feed.reports.state("running")
    shop.broker.faults.fail_next_commit()
    shop.sql("insert into orders values (3, 'eve', 3)")
    found = wait_for(shop.broker, TOPIC, count(3), feed)
    feed.stop()

    assert operations(found) == [("r", 1), ("r", 2), ("c", 3)]


def test_a_database_that_restarts_is_waited_for(own_postgres: PostgresServer) -> None:
    own_postgres.execute("postgres", "create database shop")
    shop = Shop(own_postgres, "shop", MemoryBroker(clock=SystemClock()), "headrace.shop.changes")
    shop.sql(TABLE)
    feed = shop.capture()
    feed.reports.state("running")

    own_postgres.stop("immediate")
    status = feed.reports.state("retrying")
    own_postgres.start()
    shop.sql("insert into orders values (1, 'ann', 1)")
    found = wait_for(shop.broker, TOPIC, count(1), feed)
    feed.stop()

    assert operations(found) == [("c", 1)]
    assert status.text.startswith("the Debezium engine ended: ")


def test_a_publication_that_is_dropped_is_told_of(shop: Shop) -> None:
    feed = shop.capture(publication_mode="filtered")
    feed.reports.state("running")
    shop.sql(f"drop publication {shop.slot}", "insert into orders values (3, 'eve', 3)")

    error = ended_by(feed, ChangesLostError)

    assert error.code == "publication_missing"
    assert f'publication "{shop.slot}" does not exist' in str(error)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"url": "postgresql://nobody:x@127.0.0.1:{port}/{name}"}, "access_denied", "nobody"),
        (
            {"publication_mode": "existing", "publication": "theirs"},
            "engine_failed",
            "Publication autocreation is disabled",
        ),
        ({"properties": {"plugin.name": "wal2json"}}, "engine_failed", "plugin.name"),
        ({"connector_class": "org.example.Connector"}, "class_missing", "org.example.Connector"),
        ({"tables": ["nothing"]}, "engine_failed", "No table filters found"),
        ({"debezium": {"java_home": "/nowhere"}}, "engine_failed", "/nowhere holds no Java"),
    ],
)
def test_a_failure_ends_the_feed_with_its_root_cause(
    shop: Shop, fields: dict[str, Any], code: str, text: str
) -> None:
    if "url" in fields:
        port = shop.server.port
        fields = {"url": fields["url"].replace("{port}", str(port)).replace("{name}", shop.name)}

    error = ended_by(shop.capture(**fields), CaptureError)

    assert error.code == code
    assert text in str(error)


def test_a_java_that_ends_is_started_again_with_its_last_words_told(shop: Shop) -> None:
    feed = shop.capture(debezium={"jvm_options": ["-Xmx1"]})

    status = feed.reports.state("retrying")
    feed.stop()

    assert "the process of the Debezium engine ended with code 1: " in status.text
    assert "heap" in status.text


def test_a_database_that_is_away_is_waited_for(shop: Shop) -> None:
    feed = shop.capture(url="postgresql://admin:x@127.0.0.1:1/shop")

    status = feed.reports.state("retrying")
    feed.stop()

    assert "refused" in status.text


def test_a_slot_that_was_dropped_is_a_loss(shop: Shop) -> None:
    feed = shop.capture()
    feed.reports.state("running")
    feed.stop()
    shop.drop()
    shop.sql("insert into orders values (3, 'eve', 3)")

    error = ended_by(shop.capture(), ChangesLostError)

    assert error.code == "slot_lost"


def test_a_slot_that_was_moved_on_is_a_loss(shop: Shop) -> None:
    feed = shop.capture()
    feed.reports.state("running")
    feed.stop()
    shop.sql("insert into orders values (3, 'eve', 3)")
    clock = SystemClock()
    while shop.sql(f"select active from pg_replication_slots where slot_name = '{shop.slot}'")[0][
        0
    ]:
        clock.sleep(0.05)
    shop.sql(f"select pg_replication_slot_advance('{shop.slot}', pg_current_wal_lsn())")

    error = ended_by(shop.capture(), ChangesLostError)

    assert error.code == "slot_ahead"
    assert "somebody has moved it on" in str(error)
    assert len(records(shop.broker, TOPIC)) == 2


def test_an_outbox_is_routed_by_the_engine(shop: Shop) -> None:
    shop.sql(
        "create table outbox (id text primary key, aggregatetype text, aggregateid text, type text, payload jsonb)"
    )
    feed = shop.capture(tables=["outbox"], outbox=True)
    feed.reports.state("running")
    shop.sql("""insert into outbox values ('e1', 'order', '7', 'placed', '{"total": 5}')""")
    found = wait_for(shop.broker, "outbox.event.order", count(1), feed)
    feed.stop()

    assert found[0].value == {"total": 5}
    assert found[0].key == "7"
    assert dict(found[0].headers) == {"id": b"e1", "type": b"placed"}
