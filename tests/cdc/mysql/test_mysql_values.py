"""A value is the same JSON whether it was read from the table or came from the log."""

from typing import Any

import pytest

from tests.cdc.mysql.server import MariadbServer
from tests.cdc.mysql.topics import capture, wait_for

TYPES: dict[str, tuple[str, list[str]]] = {
    "tiny": ("tinyint", ["-128", "0", "127"]),
    "tiny_unsigned": ("tinyint unsigned", ["0", "255"]),
    "small": ("smallint", ["-32768", "32767"]),
    "medium": ("mediumint", ["-8388608", "8388607"]),
    "medium_unsigned": ("mediumint unsigned", ["16777215"]),
    "whole": ("int", ["-2147483648", "2147483647"]),
    "whole_unsigned": ("int unsigned", ["4294967295"]),
    "big": ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    "big_unsigned": ("bigint unsigned", ["18446744073709551615"]),
    "single": ("float", ["0", "3.14159", "-1e-20", "16777217", "1e38", "0.1"]),
    "twice": ("double", ["0", "3.141592653589793", "-1e300", "0.1", "1e22"]),
    "price": ("decimal(10,2)", ["0", "0.01", "-0.50", "12345678.90", "-99999999.99"]),
    "long_price": ("decimal(65,30)", ["1.5", "-12345678901234567890.123456789012345678901234567891"]),
    "short_price": ("decimal(2,2)", ["0.99", "-0.01"]),
    "units": ("decimal(18,0)", ["-1", "999999999999999999"]),
    "flag": ("bit(1)", ["b'0'", "b'1'"]),
    "flags": ("bit(12)", ["b'101100000001'", "0"]),
    "born": ("date", ["'2026-01-31'", "'1000-01-01'", "'0000-00-00'", "'9999-12-31'"]),
    "at": ("datetime", ["'2026-01-31 10:20:30'", "'1000-01-01 00:00:00'", "'0000-00-00'"]),
    "at_ms": ("datetime(3)", ["'2026-01-31 10:20:30.120'"]),
    "at_us": ("datetime(6)", ["'2026-01-31 23:59:59.999999'", "'2026-01-31 00:00:00'"]),
    "moment": ("timestamp null", ["'2026-01-31 10:20:30'", "'1970-01-01 00:00:01'", "'0000-00-00'"]),
    "moment_us": ("timestamp(6) null", ["'2026-07-31 10:20:30.000001'"]),
    "lasts": ("time", ["'10:20:30'", "'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    "lasts_us": ("time(6)", ["'10:20:30.5'", "'-00:00:00.000001'", "'-01:00:00'", "'-10:59:59.25'"]),
    "lasts_ds": ("time(1)", ["'10:20:30.5'", "'-00:00:01.5'"]),
    "since": ("year", ["1901", "2155", "0"]),
    "letters": ("char(10)", ["''", "'abc'", "'é€😀'"]),
    "name": ("varchar(300)", ["''", "'O''Brien \\\\ \"x\"'", "repeat('ä', 300)"]),
    "old_name": ("varchar(20) character set latin1", ["'Müller €'", "_latin1 x'81'"]),
    "eastern": ("varchar(20) character set ucs2", ["'Привет'"]),
    "note": ("text", ["'a\\nb'", "repeat('x', 70000 - 10000)"]),
    "long_note": ("mediumtext", ["repeat('y', 100000)"]),
    "raw": ("binary(4)", ["x'0102'", "x'ff00ff00'", "x'00000000'"]),
    "raw_text": ("varbinary(300)", ["x''", "x'00ff00'"]),
    "blob_small": ("tinyblob", ["x'deadbeef'"]),
    "blob_big": ("longblob", ["repeat(x'ab', 70000)"]),
    "size": ("enum('small','mid''dle','größe')", ["'small'", "'mid''dle'", "'größe'"]),
    "sizes": ("set('a','b','ü')", ["''", "'a'", "'a,ü'"]),
    "document": ("json", ["'{\"a\": [1, 2.50, null], \"ö\": \"x\"}'"]),
    "place": ("point", ["ST_PointFromText('POINT(1.5 -2)')"]),
    "id_of": ("uuid", ["'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-fffffffffffe'"]),
    "address": ("inet6", ["'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'"]),
    "short_address": ("inet4", ["'192.0.2.1'"]),
}  # fmt: skip


def both(server: MariadbServer, name: str, **fields: Any) -> tuple[list[Any], list[Any]]:
    """The values of a type as the snapshot has them, and as the stream has them."""
    kind, literals = TYPES[name]
    values = ", ".join(f"({number}, {literal})" for number, literal in enumerate(literals))
    count = len(literals) + 1
    mode = "SET sql_mode = '', time_zone = '+02:00'"
    server.sql(
        mode,
        "USE shop",
        f"CREATE TABLE t (id int PRIMARY KEY, v {kind}) CHARACTER SET utf8mb4",
        f"INSERT INTO t VALUES {values}, ({count - 1}, NULL)",
    )
    one = capture(server, tables=["shop.t"], **fields)
    feed = one.run()
    feed.reports.state("running")

    server.sql(mode, "USE shop", f"INSERT INTO t SELECT id + {count}, v FROM t ORDER BY id")
    found = wait_for(one.broker, "copy.shop.t", lambda found: len(found) == 2 * count, feed)
    feed.stop()
    values_of = [record.value["after"]["v"] for record in found]
    return values_of[:count], values_of[count:]


@pytest.mark.parametrize("name", TYPES)
def test_snapshot_and_stream_give_the_same_value(mariadb: MariadbServer, name: str) -> None:
    read, streamed = both(mariadb, name)

    assert read == streamed
    assert read[-1] is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("price", ["0.00", "0.01", "-0.50", "12345678.90", "-99999999.99", None]),
        ("single", [0.0, 3.14159, -1e-20, 16777216.0, 1e38, 0.1, None]),
        ("flag", [False, True, None]),
        ("born", ["2026-01-31", "1000-01-01", None, "9999-12-31", None]),
        ("at_ms", ["2026-01-31T10:20:30.120", None]),
        ("moment", ["2026-01-31T08:20:30Z", None, None, None]),
        ("lasts", ["10:20:30", "-838:59:59", "838:59:59", "00:00:00", None]),
        ("old_name", ["Müller €", "\x81", None]),
        ("size", ["small", "mid'dle", "größe", None]),
        ("sizes", ["", "a", "a,ü", None]),
        ("raw", ["AQIAAA==", "/wD/AA==", "AAAAAA==", None]),
        ("id_of", ["123e4567-e89b-12d3-a456-426655440000", "ffffffff-ffff-ffff-ffff-fffffffffffe", None]),
    ],
)  # fmt: skip
def test_values_are_spelled_as_json_has_them(
    mariadb: MariadbServer, name: str, values: list[Any]
) -> None:
    assert both(mariadb, name)[1] == values


def test_decimals_and_times_can_be_numbers(mariadb: MariadbServer) -> None:
    read, streamed = both(mariadb, "price", decimal="number")
    mariadb.sql("DROP TABLE shop.t")
    dates, _ = both(mariadb, "born", times="epoch_ms")
    mariadb.sql("DROP TABLE shop.t")
    times, _ = both(mariadb, "at_ms", times="epoch_ms")

    assert read == streamed == [0.0, 0.01, -0.5, 12345678.9, -99999999.99, None]
    assert dates == [20484, -354285, None, 2932896, None]
    assert times == [1769854830120, None]
