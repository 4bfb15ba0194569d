"""Every type reads the same from the snapshot and from the stream."""

import pytest

from tests.cdc.conftest import Database

TYPES = {
    "boolean": ["true", "false"],
    "smallint": ["-32768"],
    "bigint": ["9223372036854775807"],
    "real": ["1.5", "'NaN'", "1e-20"],
    "double precision": ["0.1", "'-Infinity'", "1e300"],
    "numeric": ["12345678901234567890.123456789", "'NaN'", "0.10"],
    "numeric(10, 2)": ["1.5"],
    "money": ["12.34"],
    "text": ["'a \"b\"'", "E'tab\\t newline\\n back\\\\slash'", "'é 漢 😀'", "''", "'\\N'"],
    "varchar(5)": ["'abc'"],
    "char(5)": ["'abc'"],
    "bytea": ["'\\x00ff'", "''"],
    "date": ["'2026-01-31'", "'infinity'", "'0044-03-15 BC'"],
    "time": ["'01:02:03.456'"],
    "timetz": ["'01:02:03+09'"],
    "timestamp": ["'2026-01-31 01:02:03.123456'", "'-infinity'", "'0044-03-15 BC'"],
    "timestamptz": ["'2026-01-31 01:02:03+09'", "'infinity'", "'12026-01-31 01:02:03+00'"],
    "interval": ["'1 year 2 days 03:04:05.6'", "'-1 day'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "json": ["'{\"a\":  [1, null]}'"],
    "jsonb": ['\'{"a": "é\\n"}\''],
    "int[]": ["'{1,null,3}'", "'{{1,2},{3,4}}'", "'{}'", "'[0:1]={1,2}'"],
    "text[]": ["array['a,b', 'c\"d', null, 'NULL', '', E'\\\\', '{}']"],
    "timestamptz[]": ["array['2026-01-31 01:02:03+09'::timestamptz]"],
    "numeric[]": ["'{1.50,NaN}'"],
    "inet": ["'10.0.0.1/8'"],
    "bit varying": ["B'1010'"],
    "int4range": ["'[1,5)'"],
    "point": ["'(1,2)'"],
    "xml": ["'<a>\"b\"</a>'"],
    "tsvector": ["'a b'"],
    "mood": ["'so ''so'''"],
    "mood[]": ["array['so ''so''']::mood[]"],
    "positive": ["7"],
    "pair": ["row(1, 'a \"b\"')::pair"],
}


@pytest.mark.parametrize(
    "options",
    [{}, {"decimal": "number", "times": "epoch_ms", "json_values": "value"}],
    ids=["as Debezium", "as JSON has it"],
)
def test_a_value_reads_the_same_from_the_snapshot_and_from_the_stream(
    shop: Database, options: dict[str, str]
) -> None:
    values = [(type_, value) for type_, found in TYPES.items() for value in [*found, "null"]]
    columns = ", ".join(f"c{i} {type_}" for i, (type_, _) in enumerate(values))
    row = ", ".join(value for _, value in values)
    shop.execute(
        "create type mood as enum ('so ''so''', 'fine')",
        "create domain positive as int check (value > 0)",
        "create type pair as (a int, b text)",
        f"create table orders (id int primary key, {columns})",
        f"insert into orders values (1, {row})",
        f"alter database {shop.name} set bytea_output = 'escape'",
        f"alter database {shop.name} set datestyle = 'German'",
        f"alter database {shop.name} set intervalstyle = 'sql_standard'",
        f"alter database {shop.name} set extra_float_digits = -5",
    )
    capture = shop.capture(tables=["orders"], **options)
    capture.until("running")

    shop.execute(f"insert into orders values (2, {row})")
    first, second = (one.value["after"] for one in capture.changes("shop.changes.public.orders", 2))

    differing = {
        values[int(name[1:])]: (first[name], second[name])
        for name in first
        if name != "id" and first[name] != second[name]
    }
    assert differing == {}
    assert first["c0"] is True
    assert len(first) == len(values) + 1
