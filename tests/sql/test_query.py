"""Asking databases, and having them carry out statements."""

import asyncio
from typing import Any

import pytest

from headrace.connectors.sql.action import Sql
from headrace.runtime.contracts.call import CallFailedError, Outcome
from headrace.runtime.errors import RecordError
from tests.sql.places import Place, PostgresPlace
from tests.unit.connectors.calling import Calling

BY_ID = "select name, n from users where id = :id"


def outcomes(place: Place, config: dict[str, Any], *events: Any) -> list[Outcome]:
    async def call() -> list[Outcome]:
        async with Calling(Sql, {"database": place.url, **config}) as calling:
            return await calling.outcomes(*events)

    return asyncio.run(call())


def made(place: Place, config: dict[str, Any], *events: Any) -> list[Any]:
    found = outcomes(place, config, *events)
    for one in found:
        if one.error is not None:
            raise one.error
    return [event for one in found for event in one.events]


@pytest.fixture
def users(place: Place) -> Place:
    place.sql(
        "create table users (id integer primary key, name varchar(20), n integer)",
        "insert into users values (1, 'Ada', 36), (2, 'Bo', 4), (3, 'Bo', 5)",
    )
    return place


def test_rows_are_added_to_events(users: Place) -> None:
    found = made(users, {"query": BY_ID, "into": "user"}, {"id": 1}, {"id": 9}, {"id": 1})

    ada = {"name": "Ada", "n": 36}
    assert [event["user"] for event in found] == [ada, None, ada]


def test_parameters_are_expressions(users: Place) -> None:
    config = {
        "query": "select id from users where name = :name and n > :least -- :no parameter",
        "parameters": {"name": "event.who.title()", "least": "4"},
        "merge": True,
    }

    assert made(users, config, {"who": "bo"}, {"who": "none"}) == [
        {"who": "bo", "id": 3},
        {"who": "none"},
    ]


def test_all_rows_are_a_list(users: Place) -> None:
    config = {
        "query": "select n from users where name = :name order by n",
        "into": "all",
        "rows": "all",
    }

    found = made(users, config, {"name": "Bo"}, {"name": "x"})

    assert [event["all"] for event in found] == [[{"n": 4}, {"n": 5}], []]


def test_exactly_one_row_can_be_demanded(users: Place) -> None:
    config = {"query": "select n from users where name = :name", "into": "u", "rows": "one"}

    one, two, none = outcomes(users, config, {"name": "Ada"}, {"name": "Bo"}, {"name": "x"})

    assert one.events[0]["u"] == {"n": 36}
    assert str(two.error) == "rows: one is needed, and the query found 2"
    assert isinstance(none.error, RecordError)


def test_a_value_is_never_part_of_the_statement(users: Place) -> None:
    config = {"query": "select count(*) as c from users where name = :name", "into": "u"}

    found = made(users, config, {"name": "' or 1=1 --"}, {"name": "%s %(name)s :name"})

    assert [event["u"]["c"] for event in found] == [0, 0]


def test_a_percent_sign_is_no_parameter(users: Place) -> None:
    config = {"query": "select id from users where name like 'A%' and id = :id", "into": "u"}
    without = {"query": "select id from users where name like 'A%'", "into": "u"}

    assert made(users, config, {"id": 1})[0]["u"] == {"id": 1}
    assert made(users, without, {"id": 1})[0]["u"] == {"id": 1}


def test_statements_are_carried_out_in_order(users: Place) -> None:
    config = {
        "execute": "update users set n = n * 10 + :digit where id = :id",
        "connections": 1,
    }
    events = [{"id": 1, "digit": digit} for digit in (1, 2, 3)]

    assert made(users, config, *events) == events
    assert users.sql("select n from users where id = 1") == [(36123,)]


def test_a_statement_that_is_refused_leaves_the_others_alone(users: Place) -> None:
    config = {"execute": "insert into users (id, name) values (:id, :name)"}

    found = outcomes(users, config, *({"id": n, "name": "x"} for n in (7, 1, 8, 2, 9)))

    assert [one.error is None for one in found] == [True, False, True, False, True]
    assert [n for (n,) in users.sql("select id from users order by id")] == [1, 2, 3, 7, 8, 9]


def test_a_wrong_statement_fails_for_all_and_says_why(users: Place) -> None:
    found = outcomes(users, {"query": "select nothing from users", "into": "u"}, {}, {})

    assert all("nothing" in str(one.error) for one in found)
    assert not any(
        one.error.is_temporary for one in found if isinstance(one.error, CallFailedError)
    )


def test_a_query_whose_parameter_does_not_fit_leaves_the_others_alone(
    postgres: PostgresPlace,
) -> None:
    config = {"query": "select :id::int + 1 as n", "into": "u"}

    one, two, three = outcomes(postgres, config, {"id": "1"}, {"id": "hush"}, {"id": "3"})

    assert (one.events[0]["u"], three.events[0]["u"]) == ({"n": 2}, {"n": 4})
    assert "invalid text representation (22P02)" in str(two.error)
    assert "hush" not in str(two.error)


def test_a_parameter_that_cannot_be_sent_is_the_record_s(users: Place) -> None:
    config = {"query": "select id from users where name = :name", "into": "u"}

    one, bad, two = outcomes(users, config, *({"name": name} for name in ("Ada", "a\0b", "Ada")))

    assert one.events[0]["u"] == two.events[0]["u"] == {"id": 1}
    assert bad.error is None or not getattr(bad.error, "is_temporary", False)


def test_values_arrive_as_json_has_them(postgres: PostgresPlace) -> None:
    query = """
        select 1.50::numeric as d, 'NaN'::numeric as nan, '2026-01-31 12:00'::timestamp as t, 'infinity'::timestamp as never,
        '2026-01-31 12:00+05:30'::timestamptz at time zone 'utc' as z, date '2026-01-31' as day, '\\x0001'::bytea as b,
        array[1, null] as a, '{"x": [1.5]}'::jsonb as j, interval '1 day' as i, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as u
    """
    (event,) = made(postgres, {"query": query, "into": "r"}, {})
    (number,) = made(postgres, {"query": "select 1.50 as d", "into": "r", "decimal": "number"}, {})

    assert event["r"] == {
        "d": "1.50", "nan": "NaN", "t": "2026-01-31T12:00:00", "never": "infinity", "z": "2026-01-31T06:30:00",
        "day": "2026-01-31", "b": "AAE=", "a": [1, None], "j": {"x": [1.5]}, "i": "1 day",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    }  # fmt: skip # a row
    assert number["r"] == {"d": 1.5}


def test_a_map_is_a_parameter_of_json_and_a_list_an_array(postgres: PostgresPlace) -> None:
    config = {"query": "select (:m)::jsonb->>'a' as m, 2 = any(:l) as l", "into": "r"}

    (event,) = made(postgres, config, {"m": {"a": "x"}, "l": [1, 2]})

    assert event["r"] == {"m": "x", "l": True}


def test_a_call_that_is_given_up_leaves_no_connection_behind(place: Place) -> None:
    slow = {
        "sqlite": "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
        "postgres": "select pg_sleep(30)",
        "mariadb": "select sleep(30)",
    }
    kind = type(place).__name__.removesuffix("Place").lower()

    async def call() -> None:
        config = {"database": place.url, "query": slow[kind], "into": "r"}
        async with Calling(Sql, config) as calling:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await calling.outcomes({})

    asyncio.run(call())
