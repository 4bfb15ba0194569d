"""What arrives when rows of PostgreSQL change."""

from tests.cdc.conftest import Database
from tests.cdc.running import replayed

ORDERS = "shop.changes.public.orders"
SIMPLE = "create table orders (id int primary key, name text)"


def test_rows_that_are_there_come_first_then_every_change_of_them(shop: Database) -> None:
    shop.execute(SIMPLE, "insert into orders values (1, 'a'), (2, 'b')")
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    shop.execute("update orders set name = 'c' where id = 1", "delete from orders where id = 2")
    changes = capture.changes(ORDERS, 5)

    assert [(one.op, one.key["id"]) for one in changes] == [
        ("r", 1),
        ("r", 2),
        ("u", 1),
        ("d", 2),
        ("tombstone", 2),
    ]
    assert changes[2].value["after"] == {"id": 1, "name": "c"}
    assert changes[3].value["before"] == {"id": 2}
    assert changes[3].value["source"]["table"] == "orders"


def test_a_row_under_another_key_is_a_delete_and_a_new_row(shop: Database) -> None:
    shop.execute(SIMPLE, "insert into orders values (1, 'a')")
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    shop.execute("update orders set id = 7")
    changes = capture.changes(ORDERS, 4)[1:]

    assert [(one.op, one.key["id"]) for one in changes] == [("d", 1), ("tombstone", 1), ("c", 7)]


def test_changes_of_one_transaction_are_numbered_and_rolled_back_ones_never_come(
    shop: Database,
) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    with shop.server.connect(shop.name) as client:
        with client.transaction():
            client.execute("insert into orders values (1), (2)")
        with client.transaction(force_rollback=True):
            client.execute("insert into orders values (3)")
        client.execute("insert into orders values (4)")
    changes = capture.changes(ORDERS, 3)

    sources = [one.value["source"] for one in changes]
    assert [one.key["id"] for one in changes] == [1, 2, 4]
    assert [one["index"] for one in sources] == [0, 1, 0]
    assert sources[0]["txId"] == sources[1]["txId"] != sources[2]["txId"]
    assert changes[0].timestamp_ms == sources[0]["ts_ms"]


def test_a_large_value_that_did_not_change_has_a_stand_in(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key, n int, big text)",
        "alter table orders alter big set storage external",
        "insert into orders values (1, 0, repeat('x', 100000))",
    )
    capture = shop.capture(tables=["orders"], unavailable="?")
    capture.until("running")

    shop.execute("update orders set n = 1")
    changes = capture.changes(ORDERS, 2)

    assert changes[1].value["after"] == {"id": 1, "n": 1, "big": "?"}


def test_with_full_replica_identity_old_rows_are_whole_and_large_values_are_there(
    shop: Database,
) -> None:
    shop.execute(
        "create table orders (id int primary key, n int, big text)",
        "alter table orders alter big set storage external",
        "alter table orders replica identity full",
        "insert into orders values (1, 0, repeat('x', 100000))",
    )
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    shop.execute("update orders set n = 1", "delete from orders")
    changes = capture.changes(ORDERS, 4)

    assert changes[1].value["before"]["n"] == 0
    assert len(changes[1].value["after"]["big"]) == 100_000
    assert changes[2].value["before"]["n"] == 1
    assert changes[2].key == {"id": 1}


def test_a_table_without_a_key_is_captured_in_one_partition_in_order(shop: Database) -> None:
    shop.execute(
        "create table orders (name text)",
        "alter table orders replica identity full",
        "insert into orders values ('a')",
    )
    capture = shop.capture(tables=["orders"], partitions=3)
    capture.until("running")

    shop.execute("insert into orders values ('b')", "delete from orders where name = 'a'")
    changes = capture.changes(ORDERS, 3)

    assert [(one.op, one.key, one.partition) for one in changes] == [
        ("r", None, 0),
        ("c", None, 0),
        ("d", None, 0),
    ]
    assert changes[2].value["before"] == {"name": "a"}


def test_keys_can_be_chosen(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key, customer int)",
        "alter table orders replica identity full",
        "insert into orders values (1, 7)",
    )
    capture = shop.capture(tables=["orders"], keys={"orders": "customer"})
    capture.until("running")

    shop.execute("delete from orders")
    changes = capture.changes(ORDERS, 3)

    assert [one.key for one in changes] == [{"customer": 7}] * 3


def test_a_truncate_comes_to_every_partition(shop: Database) -> None:
    shop.execute(SIMPLE, "insert into orders select i from generate_series(1, 20) i")
    capture = shop.capture(tables=["orders"], partitions=3)
    capture.until("running")

    shop.execute("truncate orders", "insert into orders values (1, 'new')")
    changes = capture.changes(ORDERS, 24)

    assert sorted(one.partition for one in changes if one.op == "t") == [0, 1, 2]
    assert list(replayed(changes).values()) == [{"id": 1, "name": "new"}]


def test_columns_are_left_out_and_masked_in_snapshot_and_stream(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key, name text, secret text, mail text)",
        "insert into orders values (1, 'a', 'hush', 'a@b')",
    )
    capture = shop.capture(
        tables=["orders"], columns={"orders": {"exclude": "secret", "mask": "mail"}}
    )
    capture.until("running")

    shop.execute("insert into orders values (2, 'b', 'hush', null)")
    changes = capture.changes(ORDERS, 2)

    assert changes[0].value["after"] == {"id": 1, "name": "a", "mail": "***"}
    assert changes[1].value["after"] == {"id": 2, "name": "b", "mail": None}


def test_columns_that_are_added_dropped_and_renamed_are_followed(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    shop.execute(
        "insert into orders values (1, 'a')",
        "alter table orders add column n int default 5",
        "insert into orders values (2, 'b')",
        "alter table orders rename column name to title",
        "alter table orders alter column n type text",
        "insert into orders values (3, 'c', 'x')",
        "alter table orders drop column n",
        "insert into orders values (4, 'd')",
    )
    changes = capture.changes(ORDERS, 4)

    assert [one.value["after"] for one in changes] == [
        {"id": 1, "name": "a"},
        {"id": 2, "name": "b", "n": 5},
        {"id": 3, "title": "c", "n": "x"},
        {"id": 4, "title": "d"},
    ]


def test_a_partitioned_table_is_one_table(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key, name text) partition by range (id)",
        "create table orders_1 partition of orders for values from (0) to (10)",
        "create table orders_2 partition of orders for values from (10) to (20)",
        "insert into orders values (1, 'a'), (11, 'b')",
    )
    capture = shop.capture(tables=["orders*"])
    capture.until("running")

    shop.execute("update orders set name = 'c' where id = 11")
    changes = capture.changes(ORDERS, 3)

    assert [(one.op, one.key["id"]) for one in changes] == [("r", 1), ("r", 11), ("u", 11)]


def test_generated_columns_are_in_neither_snapshot_nor_stream(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key, twice int generated always as (id * 2) stored)",
        "insert into orders values (1)",
    )
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    shop.execute("insert into orders values (2)")
    changes = capture.changes(ORDERS, 2)

    assert [one.value["after"] for one in changes] == [{"id": 1}, {"id": 2}]


def test_tables_that_are_made_later_are_captured_with_the_rows_they_have(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["public.*"], heartbeat="100ms")
    capture.until("running")

    shop.execute("create table users (id int primary key)", "insert into users values (1), (2)")
    capture.changes("shop.changes.public.users", 2)
    shop.execute("insert into users values (3)")
    changes = capture.changes("shop.changes.public.users", 3)

    assert [(one.op, one.key["id"]) for one in changes] == [("r", 1), ("r", 2), ("c", 3)]


def test_logical_messages_are_passed_on_by_their_prefix(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], messages=["audit"])
    capture.until("running")

    shop.execute(
        "select pg_logical_emit_message(true, 'audit', 'one')",
        "select pg_logical_emit_message(true, 'other', 'no')",
        "select pg_logical_emit_message(false, 'audit', 'two')",
        "insert into orders values (1)",
    )
    changes = capture.changes("shop.changes.message", 2)

    assert [one.value["message"]["content"] for one in changes] == ["b25l", "dHdv"]
    assert [one.op for one in changes] == ["m", "m"]


def test_rows_of_an_outbox_are_routed_to_the_topics_that_they_name(shop: Database) -> None:
    shop.execute(
        "create table outbox (id uuid primary key, aggregatetype text, aggregateid text, type text, payload jsonb)",
    )
    capture = shop.capture(tables=["outbox"], outbox=True)
    capture.until("running")

    shop.execute(
        "insert into outbox values (gen_random_uuid(), 'order', '7', 'Made', '{\"n\": 1}')",
        "delete from outbox",
        "insert into outbox values (gen_random_uuid(), 'user', '8', 'Left', null)",
    )
    orders = capture.changes("outbox.event.order", 1)
    users = capture.changes("outbox.event.user", 1)

    assert [(one.key, one.value, one.headers["type"]) for one in orders] == [(7, {"n": 1}, b"Made")]
    assert [(one.key, one.value) for one in users] == [(8, None)]


def test_the_database_may_delete_its_log_while_only_other_tables_are_written(
    shop: Database,
) -> None:
    shop.execute(SIMPLE, "create table other (n int)")
    capture = shop.capture(tables=["orders"], heartbeat="100ms")
    capture.until("running")

    shop.execute("insert into other select generate_series(1, 100000)")
    end = shop.execute("select pg_current_wal_lsn()")[0][0]
    sql = f"select confirmed_flush_lsn >= '{end}' from pg_replication_slots where slot_name = '{shop.slot}'"
    for _ in range(100):
        if shop.execute(sql) == [(True,)]:
            break
        capture.place.clock.sleep(0.1)

    assert shop.execute(sql) == [(True,)]


def test_nothing_is_confirmed_that_is_not_committed(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], heartbeat="100ms")
    capture.until("running")
    broker = capture.broker

    broker.stop()  # type: ignore[attr-defined] # the one in memory
    before = shop.execute(
        f"select confirmed_flush_lsn from pg_replication_slots where slot_name = '{shop.slot}'"
    )
    shop.execute("insert into orders values (1)")
    error = capture.until_failed()
    after = shop.execute(
        f"select confirmed_flush_lsn from pg_replication_slots where slot_name = '{shop.slot}'"
    )
    broker.start()  # type: ignore[attr-defined] # the one in memory
    again = shop.capture(tables=["orders"])
    again.until("running")

    assert before == after, error
    assert [one.key for one in again.changes(ORDERS, 1)] == [{"id": 1}]
