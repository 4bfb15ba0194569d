"""The parts of the source for MariaDB and MySQL that need no server."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connectors.cdc.connection_settings import Address
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.connectors.cdc.mysql import decoding
from headrace.connectors.cdc.mysql.columns import Column, TableColumns
from headrace.connectors.cdc.mysql.connection import arguments, explained
from headrace.connectors.cdc.mysql.gtid import MariadbGtids, MysqlGtids, covers, missing
from headrace.connectors.cdc.mysql.records import Records
from headrace.connectors.cdc.mysql.shape import Choice
from headrace.connectors.cdc.mysql.snapshot import Selection
from headrace.connectors.cdc.mysql.stream import Stream
from headrace.connectors.cdc.mysql.values import Spelling
from headrace.connectors.cdc.tables import TableName
from headrace.runtime.clock import ManualClock

# GTIDs

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4c9e3dfc-9d25-11e9-8d2e-0242ac1cfd7e"


def test_a_position_of_mariadb_is_the_last_transaction_of_each_domain() -> None:
    gtids = MariadbGtids.parse("1-3-7,0-1-55")
    gtids.add("0-2-56")

    assert str(gtids) == "0-2-56,1-3-7"
    assert covers(gtids, MariadbGtids.parse("0-1-56"))
    assert not covers(gtids, MariadbGtids.parse("2-1-1"))
    assert missing(gtids, MariadbGtids.parse("0-1-60,1-3-7,2-1-2")) == 6


def test_a_position_of_mysql_is_a_set_of_ranges() -> None:
    gtids = MysqlGtids.parse(f"{A.upper()}:1-5:8,\n{B}:1")
    for one in (f"{A}:7", f"{A}:6", f"{B}:3"):
        gtids.add(one)

    assert str(gtids) == f"{A}:1-8,{B}:1:3"
    assert covers(gtids, MysqlGtids.parse(f"{A}:2-8"))
    assert not covers(gtids, MysqlGtids.parse(f"{B}:1-3"))
    assert missing(gtids, MysqlGtids.parse(f"{A}:1-10,{B}:1-3")) == 3


@given(st.lists(st.integers(1, 30)))
def test_a_set_holds_what_was_added_to_it_in_any_order(numbers: list[int]) -> None:
    gtids = MysqlGtids()
    for number in numbers:
        gtids.add(f"{A}:{number}")

    assert MysqlGtids.parse(str(gtids)) == gtids
    for number in range(1, 31):
        assert covers(gtids, MysqlGtids.parse(f"{A}:{number}")) is (number in numbers)


# Values in the log


@pytest.mark.parametrize(
    ("read", "data", "value"),
    [
        (decoding.integer(3, is_unsigned=False), "ffffff", -1),
        (decoding.integer(3, is_unsigned=True), "ffffff", 16_777_215),
        (decoding.decimal(14, 4), "810dfb38d204d2", "1234567890.1234"),
        (decoding.decimal(14, 4), "7ef204c72dfb2d", "-1234567890.1234"),
        (decoding.decimal(4, 0), "8000", "0"),
        (decoding.date, "3fd40f", "2026-01-31"),
        (decoding.datetime2(0), "99b8fea51e", "2026-01-31 10:20:30"),
        (decoding.timestamp2(3), "00000001" + "04e2", "1970-01-01 00:00:01.125"),
        (decoding.timestamp2(0), "00000000", "0000-00-00 00:00:00"),
        (decoding.time2(0), "80a51e", "10:20:30"),
        (decoding.time2(0), "7f5ae2", "-10:20:30"),
        (decoding.time2(2), "7fffffff", "-00:00:00.01"),
        (decoding.time2(6), "7ffffeffffff", "-00:00:01.000001"),
        (decoding.year, "00", 0),
        (decoding.year, "7e", 2026),
        (decoding.padded(decoding.counted(1), 4), "020102", b"\x01\x02\x00\x00"),
        (decoding.enum(1, ("a", "b")), "02", "b"),
        (decoding.enum(1, ("a", "b")), "00", ""),
        (decoding.choices(1, ("a", "b", "c")), "05", "a,c"),
    ],
)
def test_bytes_of_the_log_are_what_the_server_writes_as_text(
    read: decoding.Read, data: str, value: object
) -> None:
    raw = bytes.fromhex(data)

    assert read(b"\xaa" + raw + b"\xbb", 1) == (value, 1 + len(raw))


@given(st.floats(allow_nan=False, width=32))
def test_floats_are_read_as_they_were_written(number: float) -> None:
    assert decoding.floating("<f")(struct.pack("<f", number), 0) == (number, 4)


# The stream


@dataclass
class Recorded:
    """Changes as a source has written them; full after so many."""

    room: int = 1000
    sent: dict[str, int] = field(default_factory=dict)
    found: list[Any] = field(default_factory=list)
    is_full: bool = False

    def begin(self, transaction: str) -> int:
        self.found.append(f"begin {transaction}")
        return self.sent.get(transaction, 0)

    def changed(self) -> None:
        self.room -= 1
        self.is_full = self.room <= 0

    def end(self, after: Any) -> None:
        self.found.append(f"end {after['gtid']}")


class Table:
    """A table whose events are lists of rows."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, changes: Any, event: Any, _: Any) -> Iterator[None]:
        for row in event.rows:
            number = self.stream().next_change()
            if number is None:
                continue
            changes.found.append((row, number))
            changes.changed()
            yield

    def truncated(self, changes: Any, _: Any, __: Any) -> None:
        changes.found.append(("truncate", self.stream().next_change()))
        changes.changed()


def event(kind: str, **fields: Any) -> Any:
    made = type(kind, (SimpleNamespace,), {})
    return made(timestamp=5, event_type=0, **fields)


def gtid(text: str, *, flags: int = 0) -> Any:
    return event("MariadbGtidEvent", gtid=text, flags=flags)


def rows(*found: str, table: str = "orders") -> Any:
    return event("WriteRowsEvent", rows=found, table=table)


def query(text: str) -> Any:
    return event("QueryEvent", query=text, schema=b"shop")


COMMIT = event("XidEvent")
IDLE = event("HeartbeatLogEvent")


def stream_of(*events: Any) -> tuple[Stream, list[str]]:
    waiting = [*events, IDLE, IDLE, IDLE]
    altered: list[str] = []
    made: list[Stream] = []

    def table(found: Any) -> Any:
        return one if getattr(found, "table", "") == "orders" else None

    one = Table(lambda: made[0])
    source = SimpleNamespace(log_file="log.1", log_position=4, next=lambda: waiting.pop(0))
    stream = Stream(
        source,
        MariadbGtids.parse("0-1-1"),
        table_of_event=table,
        table_of_name=lambda name: one if name == TableName("shop", "orders") else None,
        schema_changed=altered.append,
    )
    made.append(stream)
    return stream, altered


def poll(stream: Stream, changes: Recorded) -> list[Any]:
    stream.poll(changes, ManualClock(), 1.0)  # type: ignore[arg-type] # what it calls is there
    return changes.found


def test_a_transaction_begins_with_its_first_row_of_interest() -> None:
    stream, _ = stream_of(gtid("0-1-2"), rows("x", table="other"), rows("a", "b"), COMMIT)

    assert poll(stream, Recorded()) == ["begin 0-1-2", ("a", 0), ("b", 1), "end 0-1-2"]


def test_a_transaction_without_interest_moves_the_position_alone() -> None:
    stream, _ = stream_of(gtid("0-1-2"), rows("x", table="other"), COMMIT)

    assert poll(stream, Recorded()) == ["end 0-1-2"]


def test_a_full_batch_ends_within_an_event_and_goes_on_there() -> None:
    stream, _ = stream_of(gtid("0-1-2"), rows("a", "b", "c"), COMMIT)
    changes = Recorded(room=2)

    first = list(poll(stream, changes))
    changes.room, changes.is_full = 10, False

    assert first == ["begin 0-1-2", ("a", 0), ("b", 1)]
    assert poll(stream, changes) == [*first, ("c", 2), "end 0-1-2"]


def test_what_was_sent_of_a_transaction_is_passed_over() -> None:
    stream, _ = stream_of(
        gtid("0-1-2"), rows("a", "b"), rows("c"), COMMIT, gtid("0-1-3"), rows("d"), COMMIT
    )

    found = poll(stream, Recorded(sent={"0-1-2": 2}))

    assert found == ["begin 0-1-2", ("c", 2), "end 0-1-2", "begin 0-1-3", ("d", 0), "end 0-1-3"]


def test_mysqls_transactions_begin_with_a_query() -> None:
    stream, altered = stream_of(
        event("GtidEvent", gtid="0-1-2"), query("BEGIN"), rows("a"), query("SAVEPOINT x"), COMMIT
    )

    assert poll(stream, Recorded()) == ["begin 0-1-2", ("a", 0), "end 0-1-2"]
    assert not altered


@pytest.mark.parametrize(
    "text",
    [
        "TRUNCATE orders",
        "truncate table `shop`.`orders`",
        "/* all */ TRUNCATE TABLE shop . orders /* generated by server */",
    ],
)
def test_a_truncate_is_a_change_of_its_table(text: str) -> None:
    stream, altered = stream_of(gtid("0-1-2", flags=1), query(text))

    assert poll(stream, Recorded()) == ["begin 0-1-2", ("truncate", 0), "end 0-1-2"]
    assert not altered


def test_other_statements_may_have_changed_tables() -> None:
    stream, altered = stream_of(gtid("0-1-2", flags=1), query("ALTER TABLE orders ADD x int"))

    assert poll(stream, Recorded()) == ["end 0-1-2"]
    assert altered == ["ALTER TABLE orders ADD x int"]


@pytest.mark.parametrize("text", ["INSERT INTO orders VALUES (1)", "/* x */ update orders set v=1"])
@pytest.mark.parametrize("flags", [0, 1])
def test_rows_that_are_logged_as_statements_are_not_passed_over(text: str, flags: int) -> None:
    stream, _ = stream_of(gtid("0-1-2", flags=flags), query(text), COMMIT)

    with pytest.raises(CaptureError, match="statements instead of rows"):
        poll(stream, Recorded())


@pytest.mark.parametrize("number", [40, 165, 167, 171])
def test_events_that_cannot_be_read_are_not_passed_over(number: int) -> None:
    unknown = event("NotImplementedEvent")
    unknown.event_type = number
    stream, _ = stream_of(gtid("0-1-2"), unknown, COMMIT)

    with pytest.raises(CaptureError, match="headrace cannot read"):
        poll(stream, Recorded())


# Connections


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2003, DatabaseUnavailableError),
        (2013, DatabaseUnavailableError),
        (1040, DatabaseUnavailableError),
        (1045, CaptureError),
        (1064, CaptureError),
    ],
)
def test_the_code_of_a_failure_decides_what_happens(code: int, kind: type) -> None:
    pymysql = pytest.importorskip("pymysql")
    address = Address("db", 3306, "u", "s3cret", "shop", {})

    error = explained("ask", address, pymysql.err.OperationalError(code, "it said no"))

    assert type(error) is kind
    assert "could not ask of db:3306/shop: it said no" in str(error)


def test_encryption_can_be_asked_for() -> None:
    plain = arguments(Address("db", None, "u", None, None, {}))
    encrypted = arguments(Address("db", None, "u", None, None, {"sslmode": "require"}))
    checked = arguments(Address("db", None, "u", None, None, {"sslmode": "verify-full"}))

    assert "ssl" not in plain
    assert encrypted["ssl"].check_hostname is False
    assert checked["ssl"].check_hostname is True


# Chunks


def test_rows_behind_a_key_of_several_columns_are_asked_for_one_by_one() -> None:
    table = TableColumns(
        TableName("shop", "it`s"),
        (Column("a", "int"), Column("b", "varchar"), Column("c", "binary"), Column("f", "float")),
        ("a", "b", "c"),
    )
    choice = Choice(None, (), (), frozenset(), table, Spelling())
    selection = Selection(table, choice, "t", Records("mariadb", "copy"))

    statement = selection.statement("a < 9", ["1", "O'x\\", "00ff"], 10)

    assert statement == (
        "SELECT `a`, `b`, `c`, CAST(`f` AS DOUBLE) FROM `shop`.`it``s` WHERE (a < 9) AND ((`a` > 1) OR"
        " (`a` = 1 AND `b` > 'O''x\\\\') OR (`a` = 1 AND `b` = 'O''x\\\\' AND `c` > X'00ff'))"
        " ORDER BY `a`, `b`, `c` LIMIT 10"
    )
