from struct import pack

from headrace.connectors.cdc.postgres import pgoutput
from headrace.connectors.cdc.postgres.layout import UNCHANGED, Column, Layout
from headrace.connectors.cdc.postgres.lsn import View, format_lsn, parse_lsn
from headrace.connectors.cdc.postgres.values import text
from headrace.connectors.cdc.tables import TableName


def row(*values: bytes | None) -> bytes:
    def one(value: bytes | None) -> bytes:
        if value is None:
            return b"n"
        return b"u" if value == UNCHANGED else b"t" + pack(">I", len(value)) + value

    return pack(">H", len(values)) + b"".join(map(one, values))


def layout(*, excluded: str = "") -> Layout:
    columns = [
        Column("id", 23, None, True, True),
        Column("100%", 25, text, excluded != "100%"),
        Column("note", 25, text, excluded != "note"),
    ]
    name = TableName("public", "orders")
    return Layout(name, "topic", columns, ["id"], identity="d", unavailable="?")


def test_a_row_is_read_with_nulls_and_values_that_were_not_sent() -> None:
    data = b"N" + row(b"1", None, UNCHANGED) + b"rest"

    read, behind, is_whole = pgoutput.read_row(data, 1, layout().converters)

    assert read == [b"1", b"null", UNCHANGED]
    assert data[behind:] == b"rest"
    assert not is_whole


def test_a_row_and_its_key_are_json_objects() -> None:
    read = [b"1", b'"a"', b"null"]

    assert layout().row(read) == b'{"id":1,"100%":"a","note":null}'
    assert layout(excluded="100%").row(read) == b'{"id":1,"note":null}'
    assert layout().key_of(read) == b'{"id":1}'
    assert layout().identity_row(read) == b'{"id":1}'


def test_a_value_that_was_not_sent_comes_from_the_old_row_or_has_a_stand_in() -> None:
    new, old = [b"1", b'"a"', UNCHANGED], [b"1", b'"b"', b'"c"']

    assert layout().completed(new, old) == [b"1", b'"a"', b'"c"']
    assert layout().completed(new, None) == [b"1", b'"a"', b'"?"']


def test_begin_and_commit_are_read() -> None:
    begin = b"B" + pack(">QqI", 500, 1_000_000, 7)
    commit = b"C" + pack(">BQQq", 0, 500, 540, 0)

    assert pgoutput.read_begin(begin) == (500, pgoutput.EPOCH_MS + 1000, 7)
    assert pgoutput.read_commit(commit) == 540


def test_a_relation_is_read() -> None:
    columns = b"".join(
        pack(">B", flags) + name + b"\0" + pack(">Ii", type_, -1)
        for flags, name, type_ in ((1, b"id", 23), (0, b"name", 25))
    )
    data = b"R" + pack(">I", 42) + b"public\0orders\0d" + pack(">H", 2) + columns

    relation = pgoutput.read_relation(data)

    assert relation[:4] == (42, "public", "orders", "d")
    assert relation.columns == (("id", 23, True), ("name", 25, False))


def test_a_truncate_and_a_message_are_read() -> None:
    truncate = b"T" + pack(">IBII", 2, 0, 7, 9)
    message = b"M" + pack(">BQ", 1, 900) + b"audit\0" + pack(">I", 3) + b"abc"

    assert pgoutput.read_truncate(truncate) == [7, 9]
    assert pgoutput.read_message(message) == (True, 900, "audit", b"abc")


def test_places_in_the_log_are_read_and_written() -> None:
    assert parse_lsn("16/B374D848") == 0x16_B374D848
    assert format_lsn(0x16_B374D848) == "16/B374D848"


def test_a_view_sees_what_was_over_when_it_was_taken() -> None:
    view = View.parse("100:105:101,103")

    assert [number for number in range(98, 108) if view.sees(number)] == [98, 99, 100, 102, 104]


def test_a_view_sees_across_the_turn_of_the_numbers() -> None:
    turn = 1 << 32
    view = View.parse(f"{turn + 2}:{turn + 5}:{turn + 3}")

    assert view.sees(turn - 1)
    assert view.sees(1)
    assert not view.sees(3)
    assert view.sees(4)
    assert not view.sees(5)
