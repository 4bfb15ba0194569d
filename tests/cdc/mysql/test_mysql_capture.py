"""What becomes of changes in a MariaDB: records, in order, once."""

from typing import Any

import pytest

from headrace.connectors.cdc.errors import CaptureError
from headrace.connectors.cdc.feed import NativeFeed
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import SystemClock
from tests.cdc.mysql.server import MariadbServer
from tests.cdc.mysql.topics import Found, capture, copy_of, records, wait_for
from tests.cdc.places import Running, config_of

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, customer varchar(40), amount decimal(10,2))"
TOPIC = "copy.shop.orders"
FEED = "headrace.orders.changes.feed"


@pytest.fixture
def shop(mariadb: MariadbServer) -> MariadbServer:
    mariadb.sql("USE shop", ORDERS, "INSERT INTO orders VALUES (1, 'ann', 10), (2, 'bob', 20)")
    return mariadb


def shop_sql(server: MariadbServer, *statements: str) -> None:
    server.sql("USE shop", *statements)


def started(server: MariadbServer, **fields: Any) -> tuple[MemoryBroker, Running]:
    one = capture(server, MemoryBroker(clock=SystemClock()), **{"tables": ["shop.*"], **fields})
    feed = one.run()
    feed.reports.state("running")
    assert isinstance(one.broker, MemoryBroker)
    return one.broker, feed


def operations(found: list[Found]) -> list[tuple[str, Any]]:
    return [(one.op, one.key and one.key.get("id")) for one in found]


def count(number: int) -> Any:
    return lambda found: len(found) >= number


def test_rows_come_first_and_then_every_change_in_the_order_of_commits(shop: MariadbServer) -> None:
    broker, feed = started(shop)
    shop_sql(
        shop,
        "INSERT INTO orders VALUES (3, 'eve', 30)",
        "UPDATE orders SET amount = 31 WHERE id = 3",
        "DELETE FROM orders WHERE id = 1",
    )
    found = wait_for(broker, TOPIC, count(6), feed)
    feed.stop()

    expected = [("r", 1), ("r", 2), ("c", 3), ("u", 3), ("d", 1), ("tombstone", 1)]
    assert operations(found) == expected
    update = found[3].value
    assert update["before"] == {"id": 3, "customer": "eve", "amount": "30.00"}
    assert update["after"] == {"id": 3, "customer": "eve", "amount": "31.00"}
    assert update["source"]["connector"] == "mariadb"
    assert update["source"]["gtid"].startswith("0-11-")


def test_a_bare_name_is_a_table_of_the_database_in_the_url(shop: MariadbServer) -> None:
    one = capture(shop, tables=["orders"])
    feed = one.run()
    feed.reports.state("running")
    operation = NativeFeed(config_of(url=shop.url, tables=["orders"]), "copy").operation(feed.place)

    asked = operation.ask_for_snapshot(["orders"], "id = 2")
    found = wait_for(one.broker, TOPIC, count(3), feed)
    feed.stop()

    assert list(asked) == ["shop.orders"]
    assert operations(found) == [("r", 1), ("r", 2), ("r", 2)]


def test_a_new_key_is_a_delete_of_the_old_and_a_create_of_the_new(shop: MariadbServer) -> None:
    broker, feed = started(shop, tombstones=False)
    shop_sql(shop, "UPDATE orders SET id = 9 WHERE id = 2")
    found = wait_for(broker, TOPIC, count(4), feed)
    feed.stop()

    assert operations(found[2:]) == [("d", 2), ("c", 9)]


def test_a_truncate_is_told_in_every_partition(shop: MariadbServer) -> None:
    broker, feed = started(shop, partitions=3)
    shop_sql(shop, "TRUNCATE TABLE orders")
    found = wait_for(broker, TOPIC, count(5), feed)
    feed.stop()

    truncates = [one for one in found if one.op == "t"]
    assert [one.partition for one in truncates] == [0, 1, 2]
    assert all(one.key is None for one in truncates)


def test_what_was_rolled_back_is_not_there(shop: MariadbServer) -> None:
    broker, feed = started(shop)
    shop_sql(
        shop,
        "BEGIN",
        "INSERT INTO orders VALUES (5, 'no', 1)",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO orders VALUES (6, 'yes', 1)",
        "SAVEPOINT here",
        "INSERT INTO orders VALUES (7, 'no', 1)",
        "ROLLBACK TO SAVEPOINT here",
        "INSERT INTO orders VALUES (8, 'yes', 1)",
        "COMMIT",
    )
    found = wait_for(broker, TOPIC, count(4), feed)
    feed.stop()

    assert operations(found[2:]) == [("c", 6), ("c", 8)]


def test_columns_that_come_and_go_are_in_the_next_change(shop: MariadbServer) -> None:
    broker, feed = started(shop)
    shop_sql(
        shop,
        "ALTER TABLE orders ADD COLUMN note text AFTER id, DROP COLUMN amount",
        "INSERT INTO orders VALUES (3, 'hello', 'eve')",
        "ALTER TABLE orders RENAME COLUMN note TO remark, MODIFY customer varchar(300)",
        "INSERT INTO orders VALUES (4, 'bye', 'joe')",
    )
    found = wait_for(broker, TOPIC, count(4), feed)
    feed.stop()

    assert [one.value["after"] for one in found[2:]] == [
        {"id": 3, "note": "hello", "customer": "eve"},
        {"id": 4, "remark": "bye", "customer": "joe"},
    ]


def test_changes_of_columns_can_stop_the_capture(shop: MariadbServer) -> None:
    broker, feed = started(shop, on_schema_change="fail")
    shop_sql(shop, "INSERT INTO orders VALUES (3, 'eve', 1)")
    wait_for(broker, TOPIC, count(3), feed)
    shop_sql(shop, "ALTER TABLE orders ADD COLUMN note text", "DELETE FROM orders WHERE id = 3")

    with pytest.raises(CaptureError, match="columns of table shop"):
        feed.join()


def test_a_table_that_is_made_later_is_captured_with_its_rows(shop: MariadbServer) -> None:
    broker, feed = started(shop)
    shop_sql(shop, "CREATE TABLE items (id int PRIMARY KEY)", "INSERT INTO items VALUES (1), (2)")
    found = wait_for(broker, "copy.shop.items", count(2), feed)
    feed.stop()

    assert {one.key["id"] for one in found} == {1, 2}


def test_only_chosen_columns_are_in_records_and_masked_ones_hidden(shop: MariadbServer) -> None:
    broker, feed = started(
        shop, columns={"shop.orders": {"exclude": ["amount"], "mask": ["customer"]}}
    )
    shop_sql(shop, "INSERT INTO orders VALUES (3, 'eve', 30)", "INSERT INTO orders (id) VALUES (4)")
    found = wait_for(broker, TOPIC, count(4), feed)
    feed.stop()

    assert [one.value["after"] for one in found] == [
        {"id": 1, "customer": "***"},
        {"id": 2, "customer": "***"},
        {"id": 3, "customer": "***"},
        {"id": 4, "customer": None},
    ]


def test_a_table_without_a_key_has_records_without_one(shop: MariadbServer) -> None:
    shop_sql(shop, "CREATE TABLE visits (who varchar(9))", "INSERT INTO visits VALUES ('ann')")
    broker, feed = started(shop, tables=["shop.visits"], partitions=2)
    shop_sql(shop, "INSERT INTO visits VALUES ('bob')", "DELETE FROM visits")
    found = wait_for(broker, "copy.shop.visits", count(4), feed)
    feed.stop()

    assert [one.op for one in found] == ["r", "c", "d", "d"]
    assert {(one.key, one.partition) for one in found} == {(None, 0)}


def test_the_key_is_the_primary_key_or_a_unique_one_or_what_the_config_names(
    shop: MariadbServer,
) -> None:
    shop_sql(
        shop,
        "CREATE TABLE pairs (a int, b varchar(9), PRIMARY KEY (b, a))",
        "CREATE TABLE codes (n int NULL, code varchar(9) NOT NULL, UNIQUE (n), UNIQUE (code))",
        "INSERT INTO pairs VALUES (1, 'x')",
        "INSERT INTO codes VALUES (1, 'x')",
    )
    broker, feed = started(shop, keys={"shop.orders": ["customer", "id"]})
    shop_sql(
        shop,
        "INSERT INTO pairs VALUES (2, 'y')",
        "INSERT INTO codes VALUES (2, 'y')",
        "INSERT INTO orders VALUES (3, 'eve', 1)",
    )
    orders = wait_for(broker, TOPIC, count(3), feed)
    feed.stop()
    keys = {
        name: [one.key for one in records(broker, f"copy.shop.{name}")]
        for name in ("pairs", "codes")
    }

    assert keys["pairs"] == [{"b": "x", "a": 1}, {"b": "y", "a": 2}]
    assert keys["codes"] == [{"code": "x"}, {"code": "y"}]
    assert orders[2].key == {"customer": "eve", "id": 3}


def test_an_outbox_is_routed_by_its_rows(mariadb: MariadbServer) -> None:
    shop_sql(
        mariadb,
        "CREATE TABLE outbox (id char(3) PRIMARY KEY, aggregatetype varchar(20), aggregateid varchar(20),"
        " type varchar(20), payload longtext)",
    )
    broker, feed = started(mariadb, tables=["shop.outbox"], outbox=True)
    shop_sql(
        mariadb,
        """INSERT INTO outbox VALUES ('e1', 'order', '7', 'placed', '{"total": 5}')""",
        "DELETE FROM outbox",
    )
    found = wait_for(broker, "outbox.event.order", count(1), feed)
    feed.stop()

    assert found[0].key == 7
    assert found[0].value == {"total": 5}
    assert found[0].headers == [("id", b"e1"), ("type", b"placed")]


def test_a_capture_goes_on_where_it_was(shop: MariadbServer) -> None:
    one = capture(shop, tables=["shop.orders"])
    for number in (3, 4, 5):
        feed = one.run()
        feed.reports.state("running")
        shop_sql(shop, f"INSERT INTO orders VALUES ({number}, 'x', 1)")
        wait_for(one.broker, TOPIC, count(number), feed)
        feed.stop()
        shop_sql(shop, f"UPDATE orders SET amount = 2 WHERE id = {number}")
        shop_sql(shop, f"DELETE FROM orders WHERE id = {number}")

    feed = one.run()
    found = wait_for(one.broker, TOPIC, count(2 + 3 * 4), feed)
    feed.stop()

    once = [("c", "u", "d", "tombstone")] * 3
    of_each = [tuple(o.op for o in found if o.key["id"] == number) for number in (3, 4, 5)]
    assert of_each == once


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 1000])
def test_large_transactions_are_split_and_come_once_though_commits_fail(
    shop: MariadbServer, batch_rows: int
) -> None:
    broker, feed = started(shop, batch_rows=batch_rows)
    for round_ in range(5):
        broker.faults.fail_next_commit()
        first = 100 + round_ * 20
        shop_sql(
            shop,
            "BEGIN",
            f"INSERT INTO orders SELECT seq, 'x', 1 FROM seq_{first}_to_{first + 19}",
            f"UPDATE orders SET amount = 2 WHERE id >= {first}",
            "COMMIT",
        )
    found = wait_for(broker, TOPIC, count(2 + 5 * 40), feed)
    feed.stop()

    ids = [one.key["id"] for one in found[2:]]
    expected = []
    for round_ in range(5):
        these = list(range(100 + round_ * 20, 120 + round_ * 20))
        expected += these + these
    assert ids == expected


def test_tables_of_others_move_the_position_on(shop: MariadbServer) -> None:
    shop_sql(shop, "CREATE TABLE other (id int PRIMARY KEY)")
    broker, feed = started(shop, tables=["shop.orders"], heartbeat="100ms")
    shop_sql(shop, "INSERT INTO other VALUES (1)")
    end = shop.sql("SELECT @@gtid_binlog_pos")[0][0]

    positions = wait_for(
        broker,
        "headrace.orders.changes.positions",
        lambda found: found[-1].value["position"]["after"] == {"gtid": end},
        feed,
    )
    feed.stop()

    assert positions
    assert len(records(broker, TOPIC)) == 2


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (
            "amount > (SELECT amount FROM shop.other WHERE id <> orders.id)",
            "subquery no 1 row (1242)",
        ),
        ("1 = customer", "bad field error (1054): Unknown column 'customer'"),
        (
            "id IN (SELECT id FROM shop.gone)",
            "no such table (1146): Table 'shop.gone' doesn't exist",
        ),
    ],
)
def test_a_condition_that_fails_while_rows_are_read_ends_the_request_and_not_the_capture(
    shop: MariadbServer, condition: str, reason: str
) -> None:
    shop_sql(shop, "CREATE TABLE gone (id int)", "CREATE TABLE other SELECT * FROM orders")
    shop_sql(shop, "INSERT INTO other VALUES (3, 'x', 1)", "INSERT INTO orders VALUES (3, 'x', 1)")
    one = capture(shop, tables=["shop.orders"], snapshot="never")
    feed = one.run()
    feed.reports.state("running")
    feed.stop()
    operation = NativeFeed(config_of(url=shop.url, tables=["shop.orders"]), "copy").operation(
        feed.place
    )
    operation.ask_for_snapshot(["shop.orders"], condition)
    shop_sql(shop, "DROP TABLE gone", "ALTER TABLE orders DROP COLUMN customer")

    feed = one.run()
    told = feed.reports.wait(lambda status: "was given up" in status.text).text
    shop_sql(shop, "INSERT INTO orders VALUES (7, 1)")
    wait_for(one.broker, TOPIC, count(1), feed)
    status = operation.status()
    operation.ask_for_snapshot(["shop.orders"], "id = 2")
    found = wait_for(one.broker, TOPIC, count(2), feed)
    feed.stop()

    assert f"the snapshot of shop.orders where {condition} was given up" in told
    assert reason in told
    assert (status.pending, list(status.notes)) == ({}, [told])
    assert operations(found) == [("c", 7), ("r", 2)]


def test_a_server_that_crashes_is_waited_for(own_mariadb: MariadbServer) -> None:
    server = own_mariadb
    shop_sql(server, ORDERS, "INSERT INTO orders VALUES (1, 'ann', 1)")
    broker, feed = started(server)

    server.kill()
    status = feed.reports.state("retrying")
    server.start()
    shop_sql(server, "INSERT INTO orders VALUES (2, 'bob', 2)")
    found = wait_for(broker, TOPIC, count(2), feed)
    feed.stop()

    assert operations(found) == [("r", 1), ("c", 2)]
    assert "s3cret-word" not in status.text


def test_writers_run_while_the_rows_are_read(shop: MariadbServer) -> None:
    shop_sql(shop, "INSERT INTO orders SELECT seq, 'x', 0 FROM seq_10_to_3000")
    one = capture(shop, tables=["shop.orders"], snapshot_rows=100)
    feed = one.run()
    for number in range(10, 300):
        shop_sql(
            shop,
            f"UPDATE orders SET amount = amount + 1 WHERE id % 7 = {number % 7} AND id < 300",
            f"DELETE FROM orders WHERE id = {number}",
            f"INSERT INTO orders VALUES ({number + 10_000}, 'new', 1)",
        )
    end = shop.sql("SELECT count(*), sum(amount), sum(id) FROM shop.orders")[0]

    def is_copied(found: list[Found]) -> bool:
        rows = copy_of(found).values()
        amounts = sum(float(str(row["amount"])) for row in rows)
        ids = sum(int(str(row["id"])) for row in rows)
        return (len(rows), amounts, ids) == (end[0], float(end[1]), int(end[2]))

    assert wait_for(one.broker, TOPIC, is_copied, feed)
    feed.stop()


def test_a_transaction_that_stays_open_keeps_nobody_waiting(shop: MariadbServer) -> None:
    shop_sql(shop, "INSERT INTO orders SELECT seq, 'x', 0 FROM seq_10_to_100")
    one = capture(shop, tables=["shop.orders"])
    feed = one.run()
    feed.reports.state("running")
    idle = shop.connect(database="shop")
    try:
        with idle.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE orders SET amount = 5")
        feed.stop()
        feed = capture(shop, one.broker, tables=["shop.orders"], snapshot="always").run()
        found = wait_for(one.broker, TOPIC, count(2 * 93), feed)
        feed.stop()
    finally:
        idle.rollback()
        idle.close()

    assert {one.value["source"]["snapshot"] for one in found[93:]} == {"incremental"}
