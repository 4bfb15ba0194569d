"""Rows that are there are read while others write."""

import pytest

from tests.cdc.conftest import Database
from tests.cdc.load import TABLE, Load, as_rows, assert_exactly_once, table
from tests.cdc.running import replayed

ORDERS = "shop.changes.public.orders"


@pytest.mark.parametrize("snapshot_rows", [70, 10_000])
def test_with_writers_before_during_and_after_the_snapshot_the_topic_equals_the_table(
    shop: Database, snapshot_rows: int
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 5000)")
    with Load(shop.server.url(shop.name), snapshot_rows) as load:
        load.until(20)
        capture = shop.capture(
            tables=["orders"], snapshot_rows=snapshot_rows, partitions=3, heartbeat="100ms"
        )
        capture.until("running")
        load.until(40)
    shop.wait_until_confirmed(shop.slot)
    changes = capture.changes(ORDERS)

    assert as_rows(replayed(changes)) == table(shop)
    assert_exactly_once(changes)


@pytest.mark.parametrize("snapshot_rows", [500, 5_000])
def test_a_snapshot_that_is_asked_for_while_writers_run_never_brings_back_what_was(
    shop: Database, snapshot_rows: int
) -> None:
    shop.execute(TABLE, "insert into orders (customer) select 'old' from generate_series(1, 3000)")
    capture = shop.capture(
        tables=["orders"],
        snapshot="never",
        snapshot_rows=snapshot_rows,
        partitions=3,
        heartbeat="100ms",
    )
    capture.until("running")
    with Load(shop.server.url(shop.name), snapshot_rows) as load:
        load.until(10)
        capture.feed.operation(capture.place).ask_for_snapshot(["orders"], None)
        capture.until("snapshot")
        capture.until("running")
        load.until(20)
    shop.wait_until_confirmed(shop.slot)
    changes = capture.changes(ORDERS)

    assert as_rows(replayed(changes)) == table(shop)
    last: dict[str, int] = {}
    for one in changes:
        if one.value is not None:
            counted = (one.value["after"] or {}).get("n", 0)
            assert one.op in ("d", "c") or counted >= last.get(str(one.key), 0), one
            last[str(one.key)] = 0 if one.op == "d" else counted


def test_keys_of_several_columns_and_of_any_text_are_read_in_chunks(shop: Database) -> None:
    shop.execute(
        "create table orders (a text, b int, name text, primary key (a, b))",
        "insert into orders select k, i, 'x' from generate_series(1, 7) i,"
        " (values ('it''s'), (E'back\\\\slash'), (E'tab\\tbed'), ('é'), (''), ('a,b')) as t(k)",
    )
    capture = shop.capture(tables=["orders"], snapshot="never", snapshot_rows=4)
    capture.until("running")

    capture.feed.operation(capture.place).ask_for_snapshot(["orders"], "b < 7")
    changes = capture.changes(ORDERS, 36)

    assert len({str(one.key) for one in changes}) == len(changes) == 36
    assert {one.value["source"]["snapshot"] for one in changes} == {"incremental"}


def test_conditions_hold_for_the_rows_of_a_snapshot(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key)",
        "insert into orders select generate_series(1, 10)",
    )
    capture = shop.capture(tables=["orders"], snapshot_where={"orders": "id > 8 or id = 1"})
    capture.until("running")

    assert [one.key["id"] for one in capture.changes(ORDERS, 3)] == [1, 9, 10]


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("10 / (id - 3) > 0", "division by zero (22012)"),
        ("note::int > 0", "invalid text representation (22P02)"),
        ("status = 'open'", 'undefined column (42703): column "status" does not exist'),
        ("id in (select id from other)", 'undefined table (42P01): relation "other" does not'),
    ],
)
def test_a_condition_that_fails_while_rows_are_read_ends_the_request_and_not_the_capture(
    shop: Database, condition: str, reason: str
) -> None:
    shop.execute(
        "create table orders (id int primary key, note text, status text)",
        "create table other (id int)",
        "insert into orders select i, case when i < 3 then i::text else 'three' end, 'open'"
        " from generate_series(1, 5) i",
    )
    first = shop.capture(tables=["orders"], snapshot="never", snapshot_rows=2)
    first.until("running")
    first.stop()
    operation = first.feed.operation(first.place)
    operation.ask_for_snapshot(["orders"], condition)
    shop.execute("alter table orders drop column status", "drop table other")

    second = shop.capture(tables=["orders"], snapshot="never", snapshot_rows=2)
    told = second.until("running", "was given up").text
    shop.execute("insert into orders values (6)")
    shop.wait_until_confirmed(shop.slot)
    operation = second.feed.operation(second.place)
    status = operation.status()
    operation.ask_for_snapshot(["orders"], "id = 4")
    second.until("snapshot")
    second.until("running")

    assert f"the snapshot of public.orders where {condition} was given up" in told
    assert reason in told
    assert "three" not in told
    assert (status.pending, [note for note in status.notes if reason in note]) == ({}, [told])
    assert [(one.op, one.key["id"]) for one in second.changes(ORDERS)][-2:] == [("c", 6), ("r", 4)]
    assert operation.status().notes == []


def test_a_condition_of_the_config_that_fails_at_the_beginning_ends_the_capture(
    shop: Database,
) -> None:
    shop.execute("create table orders (id int primary key)", "insert into orders values (3)")

    capture = shop.capture(tables=["orders"], snapshot_where={"orders": "1 / (id - 3) > 0"})

    assert "database_refused" in str(capture.until_failed())


def test_a_table_that_is_chosen_later_is_read_and_the_others_are_not_read_again(
    shop: Database,
) -> None:
    shop.execute(
        "create table orders (id int primary key)",
        "create table users (id int primary key)",
        "insert into orders values (1)",
        "insert into users values (1)",
    )
    first = shop.capture(tables=["orders"])
    first.until("running")
    first.stop()

    second = shop.capture(tables=["orders", "users"])
    users = second.changes("shop.changes.public.users", 1)
    second.until("running")

    assert [one.op for one in users] == ["r"]
    assert len(second.changes(ORDERS)) == 1


def test_a_transaction_that_runs_while_a_table_is_added_is_not_lost_and_holds_up_no_other(
    shop: Database,
) -> None:
    shop.execute(
        "create table orders (id int primary key)", "create table users (id int primary key)"
    )
    first = shop.capture(tables=["orders"])
    first.until("running")
    first.stop()

    with shop.server.connect(shop.name) as client:
        client.execute("begin")
        client.execute("insert into users values (7)")
        second = shop.capture(tables=["orders", "users"], heartbeat="100ms")
        second.until(
            "snapshot", "public.users is read when transactions that were running are over"
        )
        shop.execute("insert into orders values (1)", "insert into users values (8)")
        orders = second.changes(ORDERS, 1)
        client.execute("commit")
    second.until("running")
    shop.wait_until_confirmed(shop.slot)
    users = second.changes("shop.changes.public.users", 2)

    assert [one.key["id"] for one in orders] == [1]
    assert {one.key["id"] for one in users} == {7, 8}


def test_a_table_whose_rows_had_to_wait_is_not_forgotten_after_a_stop(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key)", "create table users (id int primary key)"
    )
    first = shop.capture(tables=["orders"])
    first.until("running")
    first.stop()

    with shop.server.connect(shop.name) as client:
        client.execute("begin")
        client.execute("insert into users values (7)")
        for _ in range(2):
            second = shop.capture(tables=["orders", "users"], heartbeat="100ms")
            second.until("snapshot", "are over")
            second.stop()
        client.execute("commit")
    third = shop.capture(tables=["orders", "users"])

    assert [one.key["id"] for one in third.changes("shop.changes.public.users", 1)] == [7]


def test_a_capture_that_waits_for_a_transaction_says_so(shop: Database) -> None:
    shop.execute("create table orders (id int primary key)")
    with shop.server.connect(shop.name) as client:
        client.execute("begin")
        client.execute("insert into orders values (7)")
        capture = shop.capture(tables=["orders"])
        capture.until("starting", "waits for transactions that are running")
        client.execute("commit")
    capture.until("running")

    assert [one.key["id"] for one in capture.changes(ORDERS, 1)] == [7]


def test_a_table_that_was_left_out_for_a_while_is_read_anew(shop: Database) -> None:
    shop.execute(
        "create table orders (id int primary key)", "create table users (id int primary key)"
    )
    for tables in (["orders", "users"], ["orders"]):
        capture = shop.capture(tables=tables, heartbeat="100ms")
        capture.until("running")
        shop.execute("insert into orders select coalesce(max(id), 0) + 1 from orders")
        shop.wait_until_confirmed(shop.slot)
        capture.stop()
    shop.execute("insert into users values (7)")

    last = shop.capture(tables=["orders", "users"])
    users = last.changes("shop.changes.public.users", 1)

    assert [(one.op, one.key["id"]) for one in users] == [("r", 7)]
    assert [one.key["id"] for one in last.changes(ORDERS)] == [1, 2]


def test_after_a_snapshot_alone_the_stream_may_be_asked_for(shop: Database) -> None:
    shop.execute("create table orders (id int primary key)", "insert into orders values (1)")
    only = shop.capture(tables=["orders"], snapshot="only")
    only.until("waiting")
    only.stop()

    capture = shop.capture(tables=["orders"])
    capture.until("running")
    shop.execute("insert into orders values (2)")

    assert [one.op for one in capture.changes(ORDERS, 3)] == ["r", "r", "c"]
