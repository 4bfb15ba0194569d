"""Whatever could lose changes in silence stops the capture loudly, and says what to do."""

import pytest

from headrace.connectors.cdc.errors import CaptureError, ChangesLostError
from tests.cdc.conftest import Database
from tests.cdc.postgres_server import PostgresServer
from tests.cdc.running import Running, replayed

ORDERS = "shop.changes.public.orders"
SIMPLE = "create table orders (id int primary key, name text)"


def begun(shop: Database, **config: object) -> None:
    """A capture that began, went through a change and was stopped."""
    shop.execute(SIMPLE, "insert into orders values (1, 'a')")
    capture = shop.capture(tables=["orders"], **config)
    capture.until("running")
    shop.execute("insert into orders values (2, 'b')")
    capture.changes(ORDERS, 2)
    capture.stop()


def failure(capture: Running) -> CaptureError:
    error = capture.until_failed()
    assert isinstance(error, CaptureError), error
    assert capture.statuses[-1].state == "failed"
    assert error.code in capture.statuses[-1].text
    return error


def test_a_stopped_capture_goes_on_where_it_was(shop: Database) -> None:
    begun(shop)
    shop.execute("insert into orders values (3, 'c')")
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    assert [one.key["id"] for one in capture.changes(ORDERS, 3)] == [1, 2, 3]


def test_a_slot_that_is_gone_is_an_error(shop: Database) -> None:
    begun(shop)
    shop.execute(f"select pg_drop_replication_slot('{shop.slot}')")

    error = failure(shop.capture(tables=["orders"]))

    assert error.code == "slot_missing"
    assert "headrace cdc snapshot" in str(error)


def test_a_slot_that_was_made_again_is_an_error(shop: Database) -> None:
    begun(shop)
    shop.execute(
        f"select pg_drop_replication_slot('{shop.slot}')",
        "insert into orders values (3)",
        f"select pg_create_logical_replication_slot('{shop.slot}', 'pgoutput')",
    )

    assert failure(shop.capture(tables=["orders"])).code == "slot_ahead"


def test_a_slot_that_was_advanced_is_an_error(shop: Database) -> None:
    begun(shop)
    shop.execute(
        "insert into orders values (3)",
        f"select pg_replication_slot_advance('{shop.slot}', pg_current_wal_lsn())",
    )

    assert failure(shop.capture(tables=["orders"])).code == "slot_ahead"


def test_a_slot_of_another_plugin_is_an_error(shop: Database) -> None:
    begun(shop)
    shop.execute(
        f"select pg_drop_replication_slot('{shop.slot}')",
        f"select pg_create_logical_replication_slot('{shop.slot}', 'test_decoding')",
    )

    assert failure(shop.capture(tables=["orders"])).code == "slot_foreign"


def test_when_needed_a_lost_slot_is_answered_by_a_new_snapshot(shop: Database) -> None:
    begun(shop)
    shop.execute(
        f"select pg_drop_replication_slot('{shop.slot}')", "delete from orders where id = 1"
    )

    capture = shop.capture(tables=["orders"], snapshot="when_needed")
    capture.until("running")
    changes = capture.changes(ORDERS, 3)

    assert [(one.op, one.key["id"]) for one in changes] == [("r", 1), ("c", 2), ("r", 2)]


def test_asking_for_a_snapshot_of_all_is_the_way_on_from_a_lost_slot(shop: Database) -> None:
    begun(shop)
    shop.execute(f"select pg_drop_replication_slot('{shop.slot}')", "insert into orders values (3)")
    failed = shop.capture(tables=["orders"])
    failure(failed)

    failed.feed.operation(failed.place).ask_for_snapshot([], None)
    capture = shop.capture(tables=["orders"])
    capture.until("running")

    assert [one.key["id"] for one in capture.changes(ORDERS, 5)] == [1, 2, 1, 2, 3]


def test_a_publication_that_is_gone_is_an_error(shop: Database) -> None:
    begun(shop)
    shop.execute(f"drop publication {shop.slot}")

    assert failure(shop.capture(tables=["orders"])).code == "publication_missing"


def test_a_publication_that_is_dropped_meanwhile_is_an_error(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], heartbeat="100ms")
    capture.until("running")

    shop.execute(f"drop publication {shop.slot}")

    assert failure(capture).code == "publication_missing"


def test_a_table_that_is_taken_out_of_the_publication_is_an_error(shop: Database) -> None:
    shop.execute(SIMPLE, "create table users (id int primary key)")
    capture = shop.capture(tables=["orders", "users"], heartbeat="100ms")
    capture.until("running")

    shop.execute(f"alter publication {shop.slot} drop table orders")
    error = failure(capture)

    assert error.code == "table_unpublished"
    assert isinstance(error, ChangesLostError)
    assert error.tables == ("public.orders",)


def test_asking_for_its_snapshot_takes_a_table_back_into_the_publication(shop: Database) -> None:
    begun(shop)
    shop.execute(
        f"alter publication {shop.slot} drop table orders", "insert into orders values (3)"
    )
    failed = shop.capture(tables=["orders"])
    failure(failed)

    failed.feed.operation(failed.place).ask_for_snapshot(["orders"], None)
    capture = shop.capture(tables=["orders"])
    changes = capture.changes(ORDERS, 5)

    assert [(one.op, one.key["id"]) for one in changes[2:]] == [("r", 1), ("r", 2), ("r", 3)]


def test_a_position_is_not_used_for_another_database(
    shop: Database, own_postgres: PostgresServer
) -> None:
    begun(shop)
    own_postgres.execute("postgres", "create table orders (id int primary key)")

    capture = shop.capture(url=own_postgres.url("postgres"), tables=["orders"])

    assert failure(capture).code == "other_system"


def test_a_slot_that_is_nobodys_is_not_taken(shop: Database) -> None:
    shop.execute(SIMPLE, f"select pg_create_logical_replication_slot('{shop.slot}', 'pgoutput')")

    assert failure(shop.capture(tables=["orders"])).code == "slot_taken"


def test_a_table_that_does_not_exist_is_an_error(shop: Database) -> None:
    error = failure(shop.capture(tables=["orders"]))

    assert error.code == "table_missing"
    assert "public.orders" in str(error)


def test_a_table_that_could_not_be_updated_any_more_is_not_published(shop: Database) -> None:
    shop.execute("create table orders (id int)")

    error = failure(shop.capture(tables=["orders"]))

    assert error.code == "replica_identity"
    assert "REPLICA IDENTITY FULL" in str(error)


def test_a_key_that_deletes_do_not_tell_is_an_error(shop: Database) -> None:
    shop.execute("create table orders (id int primary key, customer int)")

    error = failure(shop.capture(tables=["orders"], keys={"orders": "customer"}))

    assert error.code == "replica_identity"
    assert "customer" in str(error)


def test_an_existing_publication_must_send_everything(shop: Database) -> None:
    shop.execute(SIMPLE, "create publication mine for table orders with (publish = 'insert')")

    capture = shop.capture(tables=["orders"], publication="mine", publication_mode="existing")

    assert failure(capture).code == "publication_partial"


def test_an_existing_publication_must_send_the_tables(shop: Database) -> None:
    shop.execute(SIMPLE, "create publication mine")

    capture = shop.capture(tables=["orders"], publication="mine", publication_mode="existing")

    assert failure(capture).code == "table_unpublished"


def test_rows_and_columns_that_a_publication_leaves_out_are_not_in_the_snapshot_either(
    shop: Database,
) -> None:
    shop.execute(
        "create table orders (id int primary key, name text, secret text)",
        "insert into orders values (1, 'a', 'x'), (2, 'b', 'x')",
        "create publication mine for table orders (id, name) where (id > 1)",
    )
    capture = shop.capture(tables=["orders"], publication="mine", publication_mode="existing")
    capture.until("running")

    shop.execute("insert into orders values (3, 'c', 'x')")
    changes = capture.changes(ORDERS, 2)

    assert [one.value["after"] for one in changes] == [
        {"id": 2, "name": "b"},
        {"id": 3, "name": "c"},
    ]


def test_a_wrong_password_is_an_error_that_does_not_tell_it(shop: Database) -> None:
    shop.execute(SIMPLE)
    url = shop.server.url(shop.name, password="wrong horse")

    error = failure(shop.capture(url=url, tables=["orders"]))

    assert error.code == "access_denied"
    assert "password authentication failed for the user" in str(error)
    assert "admin" not in str(error)
    assert "horse" not in f"{error} {error.__cause__}"


@pytest.mark.parametrize("user", ["no_such_reader", 'odd "reader"'])
def test_a_user_that_may_not_enter_is_not_named(shop: Database, user: str) -> None:
    shop.execute(SIMPLE)
    name = user.replace('"', '""')
    shop.execute(f"create role \"{name}\" password 'p'")
    try:
        config = {"host": "127.0.0.1", "port": str(shop.server.port), "dbname": shop.name}
        error = failure(
            Running(
                {**config, "database": "postgresql", "user": user, "password": "p",
                 "tables": ["orders"]},
                shop.broker,
                shop.place,
            )
        )  # fmt: skip
    finally:
        shop.execute(f'drop role "{name}"')

    assert error.code == "access_denied"
    assert "the role is not permitted to log in" in str(error)
    assert "reader" not in str(error)


def test_a_user_without_privileges_is_told_what_it_needs(shop: Database) -> None:
    shop.execute(SIMPLE, f"create role {shop.name} login password 'p'")
    try:
        url = shop.server.url(shop.name, user=shop.name, password="p")
        error = failure(shop.capture(url=url, tables=["orders"]))
        shop.execute(
            f"alter role {shop.name} replication", f"grant select on orders to {shop.name}"
        )
        unable = failure(shop.capture(url=url, tables=["orders"]))
        shop.execute("create publication mine for table orders")
        able = shop.capture(
            url=url, tables=["orders"], publication="mine", publication_mode="existing"
        )
        able.until("running")
        able.stop()
    finally:
        shop.execute(f"drop owned by {shop.name}", f"drop role {shop.name}")

    assert (error.code, unable.code) == ("access_denied", "publication_denied")
    assert "REPLICATION" in str(error)
    assert not any(
        f"'{shop.name}'" in str(one) or f"ROLE {shop.name}" in str(one) for one in (error, unable)
    )


def test_wal_level_is_checked(shop: Database) -> None:
    server = PostgresServer({"wal_level": "replica"})
    try:
        server.start()
        capture = shop.capture(url=server.url("postgres"), tables=["orders"])
        error = failure(capture)
    finally:
        server.remove()

    assert error.code == "wal_level"
    assert "ALTER SYSTEM" in str(error)


def test_log_that_the_database_removed_is_an_error(shop: Database) -> None:
    server = PostgresServer({"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB"})
    try:
        server.start()
        server.execute("postgres", SIMPLE)
        first = shop.capture(url=server.url("postgres"), tables=["orders"])
        first.until("running")
        first.stop()
        for _ in range(4):
            server.execute("postgres", "select pg_switch_wal()", "create table x()", "drop table x")
        server.execute("postgres", "checkpoint")
        capture = shop.capture(url=server.url("postgres"), tables=["orders"])
        error = failure(capture)
    finally:
        server.remove()

    assert error.code == "slot_lost"
    assert "max_slot_wal_keep_size" in str(error)


def test_too_much_log_drops_the_slot_where_that_is_asked_for(shop: Database) -> None:
    shop.execute(SIMPLE, "create table other (n int)")
    capture = shop.capture(
        tables=["orders"], heartbeat="100ms", log_bytes_max=1_000_000, on_log_bytes="drop"
    )
    capture.until("running")
    shop.execute(
        "begin; insert into other select generate_series(1, 200000); select pg_sleep(1.5); commit"
    )

    assert failure(capture).code == "log_too_large"
    assert not shop.execute(f"select 1 from pg_replication_slots where slot_name = '{shop.slot}'")


def test_a_truncate_stops_the_capture_where_that_is_asked_for(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], truncate="fail")
    capture.until("running")

    shop.execute("truncate orders")

    assert failure(capture).code == "truncated"


def test_changed_columns_stop_the_capture_where_that_is_asked_for(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], on_schema_change="fail")
    capture.until("running")

    shop.execute(
        "insert into orders values (1)",
        "alter table orders add n int",
        "insert into orders values (2)",
    )
    error = failure(capture)

    assert error.code == "schema_changed"
    assert [one.key["id"] for one in capture.changes(ORDERS)] == [1]


def test_a_record_that_is_too_large_is_an_error_that_names_its_size(shop: Database) -> None:
    shop.execute(SIMPLE)
    capture = shop.capture(tables=["orders"], message_bytes_max=10_000)
    capture.until("running")

    shop.execute("insert into orders values (1, repeat('x', 20000))")
    error = failure(capture)

    assert error.code == "record_refused"
    assert "xxx" not in str(error)


def test_a_table_that_is_dropped_is_told_of_while_the_others_go_on(shop: Database) -> None:
    shop.execute(SIMPLE, "create table users (id int primary key)")
    capture = shop.capture(tables=["orders", "users"], heartbeat="100ms")
    capture.until("running")

    shop.execute("drop table users", "insert into orders values (1)")
    capture.until("running", "public.users does not exist")

    assert [one.key["id"] for one in capture.changes(ORDERS, 1)] == [1]


def test_a_database_that_is_away_is_waited_for(
    shop: Database, own_postgres: PostgresServer
) -> None:
    own_postgres.execute("postgres", SIMPLE)
    capture = shop.capture(url=own_postgres.url("postgres"), tables=["orders"])
    capture.until("running")

    own_postgres.execute("postgres", "insert into orders values (1)")
    own_postgres.stop("immediate")
    capture.until("retrying")
    own_postgres.start()
    capture.until("running")
    own_postgres.execute("postgres", "insert into orders values (2)")

    assert [one.key["id"] for one in capture.changes(ORDERS, 2)] == [1, 2]


def test_a_database_is_not_kept_from_stopping(shop: Database, own_postgres: PostgresServer) -> None:
    own_postgres.execute("postgres", SIMPLE)
    capture = shop.capture(url=own_postgres.url("postgres"), tables=["orders"], heartbeat="1h")
    capture.until("running")
    own_postgres.execute("postgres", "create table other as select generate_series(1, 1000)")

    own_postgres.stop("fast")

    capture.until("retrying")


def test_a_second_capture_takes_over_from_the_first(shop: Database) -> None:
    shop.execute(SIMPLE)
    first = shop.capture(tables=["orders"])
    first.until("running")

    second = shop.capture(tables=["orders"])
    second.until("running")
    shop.execute("insert into orders values (1)")
    changes = second.changes(ORDERS, 1)
    first.stop()

    assert list(replayed(changes).values()) == [{"id": 1, "name": None}]
    assert len(second.changes(ORDERS)) == 1


@pytest.mark.parametrize("mode", ["never", "only"])
def test_snapshots_can_be_left_out_or_be_all(shop: Database, mode: str) -> None:
    shop.execute(SIMPLE, "insert into orders values (1)")
    capture = shop.capture(tables=["orders"], snapshot=mode)
    capture.until("running" if mode == "never" else "waiting")

    shop.execute("insert into orders values (2)")
    changes = capture.changes(ORDERS, 1)

    assert [one.op for one in changes] == (["c"] if mode == "never" else ["r"])
    slots = shop.execute(f"select 1 from pg_replication_slots where slot_name = '{shop.slot}'")
    assert len(slots) == (1 if mode == "never" else 0)
