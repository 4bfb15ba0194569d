"""`format: debezium`: every shape in which its connectors write a change is the same event, or the same row."""

from typing import Any

import orjson
import pytest

from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.format import SKIPPED, FormatUse, load_format
from headrace.runtime.errors import UndecodableError
from headrace.runtime.task.formats import Formats

ROW = {"id": 1, "name": "Ada"}
CREATED = {
    "op": "c",
    "before": None,
    "after": ROW,
    "source": {"table": "people", "lsn": 7},
    "ts_ms": 5,
    "transaction": None,
}
DELETED = {**CREATED, "op": "d", "before": ROW, "after": None}
TRUNCATED = {"op": "t", "source": {"table": "people"}, "ts_ms": 5, "before": None, "after": None}
MESSAGE = {"op": "m", "source": {"lsn": 9}, "ts_ms": 5, "message": {"prefix": "p", "content": ""}}
SCHEMA = {"type": "struct", "name": "shop.people.Envelope", "fields": []}
ABOUT = {
    "heartbeats": {"ts_ms": 1_700_000_000_000},
    "transactions": {"status": "END", "id": "571:1", "event_count": 2, "data_collections": []},
    "schema_changes": {"source": {}, "ts_ms": 1, "databaseName": "shop", "ddl": "CREATE TABLE t"},
    "signals": {"id": "1", "type": "execute-snapshot", "data": {"type": "incremental"}},
    "notifications": {
        "id": "1",
        "aggregate_type": "Initial Snapshot",
        "type": "STARTED",
        "additional_data": {},
        "timestamp": 1,
    },
}


def read(value: Any, how: str = "debezium", way: Any = "event") -> Any:
    encoded = value if isinstance(value, bytes) else orjson.dumps(value)
    return Formats(clock=ManualClock()).function(FormatUse(how, way))(encoded)


def row(value: Any) -> Any:
    return read(value, way="row")


def wrapped(payload: Any, schema: Any = SCHEMA) -> dict[str, Any]:
    return {"schema": schema, "payload": payload}


@pytest.mark.parametrize("change", [CREATED, DELETED, TRUNCATED, MESSAGE])
def test_a_change_is_the_same_event_with_and_without_its_schema(change: dict[str, Any]) -> None:
    assert read(change) == change
    assert read(wrapped(change)) == change


def test_a_flattened_record_becomes_the_envelope_that_it_was() -> None:
    flat = {**ROW, "__deleted": "false", "__op": "c", "__table": "people", "__source_lsn": 7}

    event = read({**flat, "__ts_ms": 5})

    assert event == CREATED


def test_a_flattened_record_that_does_not_say_its_operation_is_an_update() -> None:
    assert read({**ROW, "__deleted": "false"})["op"] == "u"
    assert read(ROW)["after"] == ROW


def test_a_flattened_record_that_is_marked_as_deleted_is_a_delete() -> None:
    event = read({**ROW, "__deleted": "true"})

    assert (event["op"], event["before"], event["after"]) == ("d", ROW, None)


def test_a_row_may_have_columns_that_are_called_like_parts_of_an_envelope() -> None:
    columns = {"op": "c", "status": "BEGIN", "type": ["log"], "data": 1, "id": 1}

    assert read(columns)["after"] == columns
    assert row(columns) == columns
    assert read({**CREATED, "after": {"id": 1, "type": [], "data": 2}}) is not SKIPPED


@pytest.mark.parametrize("kind", ABOUT)
def test_records_about_the_connector_are_skipped_unless_asked_for(kind: str) -> None:
    asked = f'debezium {{"also":["{kind}"]}}'

    assert read(ABOUT[kind]) is read(wrapped(ABOUT[kind])) is row(ABOUT[kind]) is SKIPPED
    assert read(ABOUT[kind], asked) == ABOUT[kind]


def test_a_row_of_a_signalling_table_is_a_signal() -> None:
    signal = {"id": "1", "type": "snapshot-window-open", "data": None}
    change = {**CREATED, "after": signal}

    assert read(change) is row(change) is SKIPPED
    assert read(change, 'debezium {"also":["signals"]}') == change


@pytest.mark.parametrize("operation", ["c", "r", "u"])
def test_the_row_of_a_table_is_what_it_is_after_the_change(operation: str) -> None:
    assert row({**CREATED, "op": operation}) == row(wrapped({**CREATED, "op": operation})) == ROW
    assert row({**ROW, "__op": operation, "__deleted": "false"}) == ROW


def test_a_delete_removes_the_row() -> None:
    assert row(DELETED) is row(wrapped(DELETED)) is row({**ROW, "__deleted": "true"}) is None


def test_a_truncate_cannot_be_carried_out_in_a_table_and_says_so() -> None:
    with pytest.raises(UndecodableError, match="TRUNCATE"):
        row(TRUNCATED)


def test_a_message_changes_no_row() -> None:
    assert row(MESSAGE) is SKIPPED


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"secret", "it is no JSON"),
        (b'{"schema":{},"payload":secret}', "it is no JSON"),
        (["secret"], "found a list"),
        ({**CREATED, "op": "secret"}, "c, r, u, d, t or m"),
    ],
)
def test_what_is_no_change_is_refused_without_telling_its_contents(value: Any, told: str) -> None:
    with pytest.raises(UndecodableError, match=told) as raised:
        read(value)

    assert "secret" not in str(raised.value)


def test_a_schema_that_was_seen_is_not_parsed_again_and_tells_the_same() -> None:
    decode = Formats(clock=ManualClock()).function(FormatUse("debezium", "event"))
    tricky = {"type": "struct", "default": {"a": 1, "payload": 2}, "fields": []}
    values = [
        wrapped(CREATED),
        wrapped(DELETED),
        wrapped(CREATED, tricky),
        wrapped(DELETED, tricky),
        wrapped(CREATED, None),
        {**wrapped({"id": 1}), "third": 3},
        {**wrapped({"id": 1}), "third": 3},
    ]

    read_values = [decode(orjson.dumps(value)) for value in values]

    assert read_values[:5] == [CREATED, DELETED, CREATED, DELETED, CREATED]
    assert [event["after"] for event in read_values[5:]] == values[5:]


NAME = "org.apache.kafka.connect.data.Decimal"
TYPED = {
    "type": "struct",
    "fields": [
        {
            "type": "struct",
            "field": "after",
            "optional": True,
            "fields": [
                {
                    "type": "bytes",
                    "name": NAME,
                    "parameters": {"scale": "2"},
                    "field": "price",
                    "optional": True,
                },
                {
                    "type": "struct",
                    "name": "io.debezium.data.VariableScaleDecimal",
                    "field": "free",
                },
                {"type": "int32", "name": "io.debezium.time.Date", "field": "day"},
                {"type": "int64", "name": "io.debezium.time.MicroTimestamp", "field": "at"},
                {"type": "int64", "name": "io.debezium.time.NanoTime", "field": "clock"},
                {"type": "array", "items": {"type": "bytes", "name": NAME}, "field": "list"},
                {"type": "string", "field": "name"},
            ],
        },
        {"type": "string", "field": "op"},
    ],
}
ENCODED = {
    "price": "/y4=",  # -210
    "free": {"scale": 3, "value": "BNI="},
    "day": 19_700,
    "at": 1_700_000_000_123_400,
    "clock": 3_661_000_000_500,
    "list": ["Ag=="],
    "name": "Ada",
}


def test_decimals_and_times_stay_as_they_are_unless_asked_for() -> None:
    change = {**CREATED, "after": ENCODED}

    assert read(wrapped(change, TYPED)) == change


def test_decimals_and_times_become_text_by_the_schema_of_the_record() -> None:
    change = wrapped({**CREATED, "after": dict(ENCODED)}, TYPED)

    event = read(change, 'debezium {"decimals":"text","times":"iso"}')

    assert event["after"] == {
        "price": "-2.10",
        "free": "1.234",
        "day": "2023-12-09",
        "at": "2023-11-14T22:13:20.1234Z",
        "clock": "01:01:01.0000005",
        "list": ["2"],
        "name": "Ada",
    }


def test_conversions_work_for_records_whose_schema_was_seen_and_for_nulls() -> None:
    decode = Formats(clock=ManualClock()).function(
        FormatUse('debezium {"decimals":"number"}', "row")
    )
    second = {**CREATED, "after": {**ENCODED, "price": None}}

    first_row = decode(orjson.dumps(wrapped({**CREATED, "after": ENCODED}, TYPED)))
    second_row = decode(orjson.dumps(wrapped(second, TYPED)))

    assert (first_row["price"], second_row["price"], second_row["free"]) == (-2.1, None, 1.234)


def test_conversions_without_a_schema_are_refused_with_the_way_out() -> None:
    with pytest.raises(UndecodableError, match=r"schemas\.enable=true"):
        read(CREATED, 'debezium {"times":"iso"}')


def test_a_value_that_does_not_fit_its_schema_fails_as_a_record() -> None:
    change = wrapped({**CREATED, "after": {**ENCODED, "price": "?"}}, TYPED)

    with pytest.raises(UndecodableError, match="does not fit the schema"):
        read(change, 'debezium {"decimals":"text"}')


@pytest.mark.parametrize("option", ["decimals: text", "times: iso"])
def test_conversions_are_refused_where_no_schema_tells_the_fields(option: str) -> None:
    name, _, value = option.partition(": ")
    given = {"type": "debezium", "encoding": "protobuf", name: value}

    with pytest.raises(ValueError, match="schemas of JSON and Avro only"):
        load_format(
            "debezium " + orjson.dumps({k: v for k, v in given.items() if k != "type"}).decode()
        )
