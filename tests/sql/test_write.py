"""Writing records to tables."""

import asyncio
import json
from typing import Any

import pytest

from headrace.connectors.sql.action import Sql
from headrace.runtime.contracts.call import CallFailedError, Outcome
from tests.sql.places import MariadbPlace, Place, PostgresPlace
from tests.unit.connectors.calling import Calling

ORDERS = "create table orders (id integer primary key, name varchar(20), amount decimal(10, 2))"


def outcomes(place: Place, config: dict[str, Any], *batches: list[Any]) -> list[Outcome]:
    """What becomes of events, written in batches."""

    async def write() -> list[Outcome]:
        given = {"database": place.url, "table": "orders", **config}
        async with Calling(Sql, given) as calling:
            return [one for batch in batches for one in await calling.outcomes(*batch)]

    return asyncio.run(write())


def written(place: Place, config: dict[str, Any], *batches: list[Any]) -> list[tuple[Any, ...]]:
    """The table `orders` after events were written, all of them."""
    for outcome in outcomes(place, config, *batches):
        if outcome.error is not None:
            raise outcome.error
    return place.sql("select * from orders order by 1")


def order(number: int, name: str | None = "a", **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, **more}


def change(operation: str, before: Any = None, after: Any = None) -> dict[str, Any]:
    return {"op": operation, "before": before, "after": after, "source": {}, "ts_ms": 1}


def names(place: Place) -> list[tuple[Any, ...]]:
    return place.sql("select id, name from orders order by id")


def test_rows_are_inserted_and_updated_and_events_go_on(place: Place) -> None:
    place.sql(ORDERS, "insert into orders values (1, 'old', 5)")
    events = [order(1, "new"), order(2, "two", amount="12.30")]

    made = outcomes(place, {}, events)

    assert [one.events for one in made] == [(event,) for event in events]
    found = place.sql("select id, name, amount from orders order by id")
    assert [(row[0], row[1], float(row[2])) for row in found] == [(1, "new", 5.0), (2, "two", 12.3)]


def test_the_last_record_of_a_key_wins(place: Place) -> None:
    place.sql(ORDERS)

    written(place, {}, [order(1, "a"), order(2, "b"), order(1, "c")], [order(2, "d")])

    assert names(place) == [(1, "c"), (2, "d")]


def test_columns_are_expressions(place: Place) -> None:
    place.sql(ORDERS)
    columns = {"id": "event.nr", "name": "event.who.name + '!'"}

    written(place, {"columns": columns, "from": "event"}, [{"nr": 7, "who": {"name": "Ada"}}])

    assert names(place) == [(7, "Ada!")]


def test_a_null_event_deletes_the_row_of_its_key(place: Place) -> None:
    place.sql(ORDERS, "insert into orders (id) values (1), (2), (3)")

    async def write() -> None:
        async with Calling(Sql, {"database": place.url, "table": "orders"}) as calling:
            calls = [calling.call(None, b"1"), calling.call(None, b'{"id": 2}')]
            assert [one.error for one in await calling.caller.process(calls)] == [None, None]

    asyncio.run(write())

    assert names(place) == [(3, None)]


@pytest.mark.parametrize(
    ("write", "left"),
    [
        ("insert", [(1, "old"), (2, "new")]),
        ("update", [(1, "new")]),
        ("delete", []),
        ("upsert", [(1, "new"), (2, "new")]),
    ],
)
def test_there_are_other_ways_to_write(place: Place, write: str, left: Any) -> None:
    place.sql(ORDERS, "insert into orders (id, name) values (1, 'old')")

    outcomes(place, {"write": write}, [order(1, "new"), order(2, "new")])

    assert names(place) == left


def test_inserted_rows_of_a_table_without_a_key_are_all_kept(place: Place) -> None:
    place.sql("create table orders (id integer, name varchar(20))")
    config = {"write": "insert"}

    found = written(place, config, [order(1), order(1), {"id": 2}, order(1, "b")])

    assert sorted(found, key=str) == [(1, "a"), (1, "a"), (1, "b"), (2, None)]


def test_a_key_of_several_columns_is_used(place: Place) -> None:
    place.sql(
        "create table orders (id integer, name varchar(20), n integer, primary key (name, id))"
    )
    events = [order(1, "a", n=1), order(1, "b", n=2), order(1, "a", n=3)]

    assert sorted(written(place, {}, events)) == [(1, "a", 3), (1, "b", 2)]
    assert written(place, {"write": "delete"}, [order(1, "a")]) == [(1, "b", 2)]


@pytest.mark.parametrize("count", [1, 2, 7, 1200])
def test_a_row_that_is_refused_leaves_its_neighbours_alone(place: Place, count: int) -> None:
    place.sql(
        "create table orders (id integer primary key, name varchar(20) not null, amount decimal(10, 2))"
    )
    bad = {0, count // 2, count - 1}
    events = [order(number, None if number in bad else "a") for number in range(count)]

    made = outcomes(place, {"batch": 2000}, events)

    failed = {number for number, one in enumerate(made) if one.error is not None}
    assert failed == bad
    assert [number for (number,) in place.sql("select id from orders order by id")] == [
        number for number in range(count) if number not in bad
    ]
    error = made[0].error
    assert isinstance(error, CallFailedError)
    assert not error.is_temporary


def test_a_bad_record_does_not_hide_an_earlier_one_of_its_key(place: Place) -> None:
    place.sql("create table orders (id integer primary key, name varchar(20) not null)")

    made = outcomes(place, {}, [order(1, "good"), order(2, "b"), order(1, None)])

    assert [one.error is None for one in made] == [True, True, False]
    assert names(place) == [(1, "good"), (2, "b")]


def test_changes_of_a_database_are_done(place: Place) -> None:
    place.sql(ORDERS)
    events = [
        change("r", None, order(1, "a")),
        change("c", None, order(2, "b")),
        change("c", None, order(3, "c")),
        change("u", order(1, "a"), order(1, "a2")),
        change("d", order(2, "b")),
        change("u", order(3, "c"), order(4, "moved")),
        {"schema": {}, "payload": change("c", None, order(5, "wrapped"))},
    ]

    written(place, {}, events)

    assert names(place) == [(1, "a2"), (4, "moved"), (5, "wrapped")]


def test_a_value_that_was_not_sent_stays(place: Place) -> None:
    place.sql("create table orders (id integer primary key, name varchar(20) not null, n integer)")
    unsent = "__debezium_unavailable_value"
    first = [change("c", None, {"id": 1, "name": "big", "n": 1})]
    second = [
        change("u", None, {"id": 1, "name": unsent, "n": 2}),
        change("c", None, {"id": 2, "name": "two", "n": 1}),
        change("u", None, {"id": 2, "name": unsent, "n": 9}),
    ]

    assert written(place, {"from": "debezium"}, first, second) == [(1, "big", 2), (2, "two", 9)]


def test_a_truncated_source_stops_or_clears_or_does_nothing(place: Place) -> None:
    place.sql(ORDERS, "insert into orders (id) values (1), (2)")
    events = [change("t"), change("c", None, order(3))]

    (failed, _) = outcomes(place, {}, events)
    ignored = written(place, {"truncate": "ignore"}, events)
    cleared = written(place, {"truncate": "clear"}, [change("c", None, order(8)), *events])

    assert "the source was truncated" in str(failed.error)
    assert [row[0] for row in ignored] == [1, 2, 3]
    assert [row[0] for row in cleared] == [3]


def test_values_get_the_types_of_their_columns(place: Place) -> None:
    place.sql(
        f"create table orders (id integer primary key, j json, b {place.blob}, d date, t timestamp null, big decimal(30, 10))"
    )
    row = {
        "id": 1, "j": '{"a": [1, "x"]}', "b": "AAEC", "d": 20_000, "t": 1_700_000_000_123,
        "big": "12345678901234567890.0123456789",
    }  # fmt: skip # a row

    written(place, {}, [change("c", None, row)])

    ((j, b, day, t, big),) = place.sql("select j, b, d, t, big from orders")
    assert (j if isinstance(j, dict) else json.loads(j)) == {"a": [1, "x"]}
    assert bytes(b) == b"\x00\x01\x02"
    assert str(day) == "2024-10-04"
    assert str(t).replace("T", " ").startswith("2023-11-14 22:13:20")
    if not isinstance(big, float):  # SQLite has no decimals
        assert str(big) == "12345678901234567890.0123456789"


@pytest.mark.parametrize("bad", ["\0", 2**70, "x\ud800"])
def test_a_value_that_no_database_takes_leaves_its_neighbours_alone(place: Place, bad: Any) -> None:
    place.sql("create table orders (id integer primary key, name varchar(20), n bigint)")
    field = "n" if isinstance(bad, int) else "name"
    events = [{"id": 1, field: None}, {"id": 2, field: bad}, {"id": 3, field: None}]

    made = outcomes(place, {}, events)

    assert [one.error for one in made[::2]] == [None, None]
    assert made[1].error is None or not getattr(made[1].error, "is_temporary", False)
    assert [n for (n,) in place.sql("select id from orders order by id") if n != 2] == [1, 3]


def test_a_value_that_does_not_fit_its_column_is_the_record_s(place: Place) -> None:
    place.sql(f"create table orders (id integer primary key, b {place.blob}, j json)")
    events = [{"id": 1, "b": "no base64!"}, {"id": 2, "b": "AA=="}]
    changes = [change("c", None, {"id": 3, "j": '1}, {"id": 4'})]

    made = outcomes(place, {}, events, changes)

    assert "the value of column 'b' cannot be read, found text" in str(made[0].error)
    assert made[1].error is None
    assert "the value of column 'j'" in str(made[2].error)
    assert [row[0] for row in place.sql("select id from orders")] == [2]


def test_a_field_without_a_column_is_explained_or_ignored(place: Place) -> None:
    place.sql(ORDERS)

    (failed,) = outcomes(place, {}, [order(1, colour="red")])
    written(place, {"unknown": "ignore"}, [order(1, colour="red")])

    assert "table 'orders' has no column 'colour'; it has id, name, amount" in str(failed.error)
    assert names(place) == [(1, "a")]


def test_a_column_that_was_added_since_is_found(place: Place) -> None:
    place.sql(ORDERS)

    async def write() -> list[Outcome]:
        async with Calling(Sql, {"database": place.url, "table": "orders"}) as calling:
            first = await calling.outcomes(order(1))
            place.sql("alter table orders add column colour varchar(10)")
            return [*first, *await calling.outcomes(order(2, colour="red"))]

    assert [one.error for one in asyncio.run(write())] == [None, None]
    assert place.sql("select colour from orders order by id") == [(None,), ("red",)]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_constraint_that_is_looked_at_with_the_commit_is_found_too(
    database: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(database)
    place.sql(
        ORDERS,
        "create table lines (id integer primary key, ord integer references orders (id) deferrable initially deferred)",
        "insert into orders (id) values (1)",
    )
    events = [{"id": 1, "ord": 1}, {"id": 2, "ord": 99}, {"id": 3, "ord": 1}]
    config = {"table": "lines", "batch": 10}

    made = outcomes(place, config, events, [{"id": 4, "ord": 1}])

    assert [one.error is None for one in made] == [True, False, True, True]
    assert place.sql("select id from lines order by id") == [(1,), (3,), (4,)]


def test_odd_names_and_values_stay_what_they_are(place: Place) -> None:
    name = 'say "hi" `there` 100%s'
    quote = "`" if isinstance(place, MariadbPlace) else '"'
    escaped = quote + name.replace(quote, quote * 2) + quote
    place.sql(
        f"create table orders (id integer primary key, {escaped.replace('%', '%')} varchar(99))"
    )
    value = "'; drop table orders; -- %s \\' :id 😀"

    assert written(place, {}, [{"id": 1, name: value}]) == [(1, value)]
    assert written(place, {}, [{"id": 1, name: "b"}]) == [(1, "b")]


def test_computed_columns_are_left_to_the_database(place: Place) -> None:
    place.sql(
        "create table orders (id integer primary key, n integer, twice integer generated always as (n * 2) stored)"
    )

    assert written(place, {}, [{"id": 1, "n": 4, "twice": 9}]) == [(1, 4, 8)]


def test_a_table_without_a_key_needs_one(place: Place) -> None:
    place.sql("create table orders (id integer, name varchar(20), unique (id))")

    (failed,) = outcomes(place, {}, [order(1)])
    written(place, {"key": ["id"]}, [order(1, "a"), order(1, "b")])

    assert "has no primary key; name the columns that tell rows apart" in str(failed.error)
    assert names(place) == [(1, "b")]


def test_a_deletion_from_a_table_without_a_key_is_explained(place: Place) -> None:
    place.sql("create table orders (id integer, name varchar(20))")
    place.sql("insert into orders values (1, 'a')")

    (failed,) = outcomes(place, {"write": "insert"}, [change("d", before=order(1))])

    assert (
        str(failed.error) == "a row is deleted by its key, and table 'orders' has none; see 'key'"
    )
    assert names(place) == [(1, "a")]


def test_a_key_that_is_no_column_is_named(place: Place) -> None:
    place.sql(ORDERS)

    (failed,) = outcomes(place, {"key": ["nr"]}, [order(1)])

    assert str(failed.error).startswith("key: table 'orders' has no column 'nr'; it has id, name")


def test_a_table_that_is_not_there_is_nobody_s_record(place: Place) -> None:
    with pytest.raises(CallFailedError, match="has no table 'orders'") as caught:
        outcomes(place, {}, [order(1)])

    assert not caught.value.is_temporary


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("{server}", "the server does not accept user and password"),
        ("127.0.0.1:1", "the server cannot be reached, or the connection broke"),
    ],
)
def test_a_refused_password_is_told_from_a_server_that_is_away(
    postgres: PostgresPlace, place: str, reason: str
) -> None:
    server = place.format(server=f"127.0.0.1:{postgres.server.port}")
    wrong = f"postgresql://admin:hush@{server}/{postgres.name}"

    with pytest.raises(CallFailedError) as caught:
        outcomes(postgres, {"database": wrong}, [order(1)])

    assert str(caught.value).endswith(f"no connection; {reason}")
    assert caught.value.is_temporary


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("guest:old", "the server does not accept user and password"),
        ("guests:guest", "the server does not accept user and password"),
        ("guest:guest", "this user may not enter the database"),
    ],
)
def test_a_login_that_is_refused_waits_and_is_told_without_the_user(
    mariadb: MariadbPlace, wrong: str, reason: str
) -> None:
    mariadb.sql("create or replace user guest@'127.0.0.1' identified by 'guest'")
    login = mariadb.url.partition("@")[0]
    url = mariadb.url.replace(login, f"mariadb://{wrong}")

    with pytest.raises(CallFailedError) as caught:
        outcomes(mariadb, {"database": url}, [order(1)])

    assert str(caught.value).endswith(f"no connection; {reason}")
    assert "guest" not in str(caught.value)
    assert caught.value.is_temporary
    assert "guest" in caught.value.__notes__[0]


def test_a_connection_that_broke_is_replaced(place: Place) -> None:
    place.sql(ORDERS)

    async def write() -> list[Outcome]:
        async with Calling(Sql, {"database": place.url, "table": "orders"}) as calling:
            made = await calling.outcomes(order(1))
            if place.connected(end=True):
                with pytest.raises(CallFailedError) as caught:
                    raise (await calling.outcomes(order(2)))[0].error or AssertionError
                assert caught.value.is_temporary
            return [*made, *await calling.outcomes(order(2))]

    assert [one.error for one in asyncio.run(write())] == [None, None]
    assert names(place) == [(1, "a"), (2, "a")]


def test_an_idle_connection_is_looked_at_before_it_is_used(place: Place) -> None:
    place.sql(ORDERS)

    async def write() -> list[Outcome]:
        async with Calling(Sql, {"database": place.url, "table": "orders"}) as calling:
            made = await calling.outcomes(order(1))
            place.connected(end=True)
            calling.clock.advance(60)
            return [*made, *await calling.outcomes(order(2))]

    assert [one.error for one in asyncio.run(write())] == [None, None]


def test_nothing_stays_open(place: Place) -> None:
    place.sql(ORDERS)

    outcomes(place, {}, [order(1)])

    for _ in range(200):
        if place.connected() == 0:
            break
    assert place.connected() == 0


def test_postgres_keeps_arrays_schemas_and_identities(postgres: PostgresPlace) -> None:
    postgres.sql(
        "create schema shop",
        "create type mood as enum ('good', 'bad')",
        "create table shop.orders (id bigint generated always as identity primary key, tags text[], m mood, v inet,"
        " z timestamptz, payload jsonb)",
    )
    row = {
        "id": 5, "tags": ["a", "b,c"], "m": "good", "v": "10.0.0.1",
        "z": "2026-01-31T12:00:00+02:00", "payload": {"a": None},
    }  # fmt: skip # a row

    outcomes_of = outcomes(postgres, {"table": "shop.orders"}, [row, {**row, "id": 6, "m": "ugly"}])

    assert outcomes_of[0].error is None
    assert "invalid text representation (22P02)" in str(outcomes_of[1].error)
    assert "ugly" not in str(outcomes_of[1].error)
    ((found),) = postgres.sql(
        "select id, tags, m::text, v::text, z at time zone 'utc', payload from shop.orders"
    )
    assert found[:4] == (5, ["a", "b,c"], "good", "10.0.0.1/32")
    assert str(found[4]) == "2026-01-31 10:00:00"
    assert found[5] == {"a": None}


def test_a_lock_that_does_not_come_free_is_temporary(postgres: PostgresPlace) -> None:
    postgres.sql(ORDERS, f"alter database {postgres.name} set lock_timeout = '50ms'")

    with postgres.server.connect(postgres.name) as other, other.transaction():
        other.execute("insert into orders (id) values (1)")
        (made,) = outcomes(postgres, {}, [order(1)])

    assert isinstance(made.error, CallFailedError)
    assert (made.error.is_temporary, made.error.status) == (True, "55P03")


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_wrong_password_is_explained_without_it(
    server: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(server)
    config = {"password": "wr0ng", "connect_timeout": "5s"}

    with pytest.raises(CallFailedError) as caught:
        outcomes(place, config, [order(1)])

    assert "wr0ng" not in str(caught.value)
    assert "connecting to database" in str(caught.value)
