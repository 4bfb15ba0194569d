"""`hydrate` over SQL."""

import asyncio
from typing import Any

from headrace.operators.hydrate import Hydrate
from headrace.runtime.contracts.call import Outcome
from tests.sql.places import Place, PostgresPlace
from tests.unit.connectors.calling import Calling

USERS = (
    "create table users (id integer primary key, name varchar(20), n integer)",
    "insert into users values (1, 'Ada', 36), (2, 'Bo', 4), (3, 'Bo', 5)",
)


def outcomes(
    place: Place, source: dict[str, Any], config: dict[str, Any], *keys: Any
) -> list[Outcome]:
    async def call() -> list[Outcome]:
        given = {"key": "event.k", "into": "u", "sql": {"database": place.url, **source}, **config}
        async with Calling(Hydrate, given) as calling:
            return await calling.outcomes(*({"k": key} for key in keys))

    return asyncio.run(call())


def found(place: Place, source: dict[str, Any], *keys: Any, **config: Any) -> list[Any]:
    made = outcomes(place, source, config, *keys)
    assert [one.error for one in made] == [None] * len(keys)
    return [one.events[0]["u"] for one in made]


def test_keys_of_a_batch_are_looked_up_together(place: Place) -> None:
    place.sql(*USERS)
    source = {"table": "users", "column": "id"}

    ada = {"id": 1, "name": "Ada", "n": 36}
    assert found(place, source, 1, 9, 2, 1, None) == [
        ada, None, {"id": 2, "name": "Bo", "n": 4}, ada, None,
    ]  # fmt: skip # one row per key
    assert found(place, source, *range(1000))[1] == ada


def test_columns_can_be_chosen_and_all_rows_be_wanted(place: Place) -> None:
    place.sql(*USERS)
    source = {"table": "users", "column": "name", "columns": ["n"], "rows": "all"}

    bo, ada, none = found(place, source, "Bo", "Ada", "x")

    assert sorted(row["n"] for row in bo) == [4, 5]
    assert (ada, none) == ([{"n": 36}], None)


def test_a_query_can_look_up(place: Place) -> None:
    place.sql(*USERS)
    source = {"query": "select max(n) as n from users where name = :key group by name"}

    assert found(place, source, "Bo", "x", "Bo") == [{"n": 5}, None, {"n": 5}]


def test_a_key_of_another_type_finds_its_row_too(place: Place) -> None:
    place.sql(*USERS)

    assert found(place, {"table": "users", "column": "id", "columns": ["n"]}, "2") == [{"n": 4}]


def test_keys_of_every_type_are_found(postgres: PostgresPlace) -> None:
    postgres.sql(
        "create table things (u uuid, t timestamptz, d numeric, s varchar(9), b boolean, n integer)",
        "insert into things values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-01-31 12:00+00', 1.50, 'x', true, 7)",
    )
    keys = {
        "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "t": "2026-01-31T13:00:00+01:00",
        "d": 1.5,
        "s": "x",
        "b": True,
    }

    for column, key in keys.items():
        source = {"table": "things", "column": column, "columns": ["n"]}
        assert found(postgres, source, key) == [{"n": 7}]


def test_a_column_that_is_not_there_is_named(place: Place) -> None:
    place.sql(*USERS)

    (made,) = outcomes(place, {"table": "users", "column": "colour"}, {}, 1)

    assert "colour" in str(made.error)
    assert not getattr(made.error, "is_temporary", True)


def test_a_key_that_is_refused_leaves_the_others_alone(postgres: PostgresPlace) -> None:
    postgres.sql(*USERS)
    source = {"table": "public.users", "column": "id", "columns": ["n"]}

    made = outcomes(postgres, source, {}, 1, "no number", 3)

    assert [one.error is None for one in made] == [True, False, True]
    assert "no number" not in str(made[1].error)
    assert made[2].events[0]["u"] == {"n": 5}
