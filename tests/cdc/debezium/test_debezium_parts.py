"""The parts of engine `debezium` that need no Java."""

import io
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connectors.cdc.debezium.delivery import Delivery, history_topic
from headrace.connectors.cdc.debezium.failures import explained
from headrace.connectors.cdc.debezium.frames import (
    BATCH,
    Batch,
    EngineRecord,
    decode_batch,
    encode_batch,
    read_frame,
    write_frame,
)
from headrace.connectors.cdc.debezium.process import EngineProcess
from headrace.connectors.cdc.debezium.properties import connector_properties, engine_problems
from headrace.connectors.cdc.debezium.redaction import Redaction
from headrace.connectors.cdc.errors import CaptureError, ChangesLostError, DatabaseUnavailableError
from headrace.connectors.cdc.progress import make_topics, read_progress
from headrace.connectors.cdc.topics import Topics
from headrace.connectors.memory import MemoryBroker
from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import SettingsError, TransactionError
from tests.cdc.mysql.topics import records
from tests.cdc.places import config_of, place_of

NAME = "headrace.orders.changes"
OFFSET = ('["headrace.orders.changes",{"server":"shop"}]', '{"lsn":5}')
optional_bytes = st.none() | st.binary(max_size=20)
engine_records = st.builds(
    EngineRecord, st.sampled_from(["a", "b", "ü"]), optional_bytes, optional_bytes, optional_bytes
)


# Frames


@given(st.lists(engine_records), st.lists(st.text()))
def test_a_batch_is_read_as_it_was_written(found: list[EngineRecord], history: list[str]) -> None:
    batch = Batch(found, [OFFSET], history)

    assert decode_batch(encode_batch(batch)) == batch


def test_frames_come_one_by_one_and_a_torn_one_is_the_end() -> None:
    stream = io.BytesIO()
    write_frame(stream, BATCH, b"first")
    write_frame(stream, BATCH, b"second")
    torn = io.BytesIO(stream.getvalue()[:-1])

    assert read_frame(torn) == (BATCH, b"first")
    assert read_frame(torn) is None


# Properties


def properties(settings: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    usual = {"url": "postgresql://reader:s3cret@db/shop"}
    return connector_properties(config_of(**fields), "shop", NAME, settings or usual)


def test_the_config_becomes_debeziums_properties() -> None:
    found = properties(
        tables=["orders", "audit.*"],
        exclude=["audit.log_?"],
        keys={"orders": ["a", "b"]},
        snapshot="never",
        truncate="ignore",
        tombstones=False,
    )

    assert found["connector.class"] == "io.debezium.connector.postgresql.PostgresConnector"
    assert found["database.hostname"] == "db"
    assert found["database.port"] == "5432"
    assert found["slot.name"] == "headrace_orders_changes"
    assert found["table.include.list"] == (
        r"(?!(?:audit\.log_.)$)public\.orders,(?!(?:audit\.log_.)$)audit\..*"
    )
    assert found["message.key.columns"] == r"public\.orders:a,b"
    assert found["snapshot.mode"] == "no_data"
    assert found["skipped.operations"] == "t"
    assert found["tombstones.on.delete"] == "false"


def test_columns_to_keep_become_columns_to_leave_out() -> None:
    found = properties(
        columns={
            "orders": {"include": ["id", "v"]},
            "lines": {"exclude": ["secret"]},
        }
    )

    assert found["column.exclude.list"] == (
        r"public\.orders\.(?!(?:id|v)$).*,public\.lines\.secret"
    )


def test_an_outbox_becomes_debeziums_router() -> None:
    found = properties(outbox={"topic": "events.{type}", "headers": ["tenant"]})

    assert found["transforms.outbox.route.topic.replacement"] == "events.${routedByValue}"
    assert found["transforms.outbox.table.fields.additional.placement"] == (
        "type:header:type,tenant:header"
    )


def test_properties_of_the_user_come_last_but_for_those_that_make_the_topics() -> None:
    settings = {"url": "postgresql://u@db/shop", "properties.poll.interval.ms": 50}

    assert properties(settings)["poll.interval.ms"] == "50"
    with pytest.raises(SettingsError, match=r"properties: 'topic\.prefix' is made of"):
        properties({"url": "postgresql://u@db/shop", "properties.topic.prefix": "x"})


def test_a_connector_of_its_own_needs_no_address() -> None:
    found = connector_properties(
        config_of(url=None, connector_class="org.Mongo", tables=["shop.orders"]),
        "shop",
        NAME,
        {"properties.mongodb.connection.string": "mongodb://db"},
    )

    assert found["connector.class"] == "org.Mongo"
    assert found["mongodb.connection.string"] == "mongodb://db"
    assert "database.hostname" not in found


def test_what_only_the_native_engine_does_is_a_problem() -> None:
    wanted: dict[str, Any] = {
        "json_values": "value",
        "on_schema_change": "fail",
        "log_bytes_max": 5_000_000,
        "truncate": "fail",
        "columns": {"orders": {"mask": ["amount"]}},
    }

    assert len(list(engine_problems(config_of(engine="connect", **wanted)))) == 5
    assert len(list(engine_problems(config_of(engine="debezium", **wanted)))) == 4
    assert not list(engine_problems(config_of(**wanted)))


# Redaction


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cannot log in with s3cret-word!", "cannot log in with ***!"),
        ("jdbc:postgresql://u:p@db/shop", "jdbc:postgresql://db/shop"),
        ("{database.password=abc, x=1}", "{database.password=***, x=1}"),
        ("password authentication failed for user", "password authentication failed for user"),
    ],
)
def test_secrets_are_hidden_in_what_others_say(said: str, shown: str) -> None:
    assert Redaction(["s3cret-word", "ab"])(said) == shown


# Failures


def failure(message: str, cause: str, *, said: tuple[str, ...] = ()) -> Exception:
    process = SimpleNamespace(
        said=deque(said), exit_code=1, last_words=lambda: list(reversed(said))
    )
    end = {"success": False, "message": message, "cause": cause} if message else None
    return explained(end, cast("EngineProcess", process), Redaction(["s3cret-word"]))


@pytest.mark.parametrize(
    ("cause", "kind", "code"),
    [
        ("java.net.ConnectException: Connection refused", DatabaseUnavailableError, ""),
        (
            "PSQLException: FATAL: terminating connection due to administrator command",
            DatabaseUnavailableError,
            "",
        ),
        ("PSQLException: ERROR: slot is active for PID 5", DatabaseUnavailableError, ""),
        ('FATAL: password authentication failed for user "u"', CaptureError, "access_denied"),
        (
            "DebeziumException: The change stream starting at X is no longer available on the server",
            ChangesLostError,
            "slot_lost",
        ),
        ("java.lang.ClassNotFoundException: org.Mongo", CaptureError, "class_missing"),
        ("Publication autocreation is disabled", CaptureError, "engine_failed"),
    ],
)
def test_the_root_cause_decides_what_happens(cause: str, kind: type, code: str) -> None:
    error = failure("stopped", cause)

    assert type(error) is kind
    assert getattr(error, "code", "") == code
    assert cause in str(error)


def test_a_process_that_ends_without_a_word_is_started_again_and_its_last_line_told() -> None:
    said = ("INFO fine", "java.lang.OutOfMemoryError: Java heap space of s3cret-word")
    error = failure("", "", said=said)

    assert isinstance(error, DatabaseUnavailableError)
    assert "ended with code 1: java.lang.OutOfMemoryError: Java heap space of ***" in str(error)


# Delivery


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(clock=ManualClock(1_000_000))


@pytest.fixture
def place(broker: MemoryBroker) -> FeedPlace:
    found = place_of({}, broker=broker, clock=broker.clock)
    make_topics(found)
    return found


def delivery(place: FeedPlace, topics: Topics, **fields: Any) -> Delivery:
    producer = place.producer()
    producer.init_transactions(1)
    one = Delivery(config_of(engine="debezium", **fields), "shop", place, producer, topics)
    one.load()
    return one


def envelope(op: str, **row: Any) -> bytes:
    return orjson.dumps(
        {"before": None, "after": row, "source": {"ts_ms": 123_456}, "op": op, "ts_ms": 999}
    )


def test_records_and_position_are_committed_together(
    place: FeedPlace, broker: MemoryBroker
) -> None:
    tricky = envelope("c", id=1, text='"source":{"ts_ms":1}')
    with Topics(place, config_of(partitions=1)) as topics:
        one = delivery(place, topics)
        one.deliver(
            Batch([EngineRecord("shop.public.orders", b'{"id":1}', tricky, None)], [OFFSET])
        )

        broker.faults.fail_next_commit()
        with pytest.raises(TransactionError):
            one.deliver(
                Batch([EngineRecord("shop.public.orders", b"2", tricky, None)], [("k", "v")])
            )
        one.abort()
        one.load()

    found = records(broker, "shop.public.orders")
    assert [(record.key, record.timestamp_ms) for record in found] == [({"id": 1}, 123_456)]
    assert one.offsets == [OFFSET]
    progress = read_progress(place)
    assert progress is not None
    assert progress.position is not None
    assert progress.position.after == {"offsets": [list(OFFSET)]}


def test_a_heartbeat_moves_the_position_and_is_not_written(
    place: FeedPlace, broker: MemoryBroker
) -> None:
    with Topics(place, config_of()) as topics:
        one = delivery(place, topics)
        beat = EngineRecord("headrace-heartbeat.shop", b"{}", b"{}", None)
        one.deliver(Batch([beat], [OFFSET]))

    assert one.offsets == [OFFSET]
    assert "headrace-heartbeat.shop" not in broker.admin().topics()


def test_a_truncate_goes_to_every_partition_and_other_keyless_records_to_the_first(
    place: FeedPlace, broker: MemoryBroker
) -> None:
    with Topics(place, config_of(partitions=3)) as topics:
        one = delivery(place, topics, partitions=3)
        found = [EngineRecord("t", None, envelope(op, id=1), None) for op in ("t", "c")]
        one.deliver(Batch(found, [OFFSET]))

    written = [(record.op, record.partition) for record in records(broker, "t")]
    assert sorted(written) == [("c", 0), ("t", 0), ("t", 1), ("t", 2)]


def test_a_truncate_can_stop_the_capture(place: FeedPlace) -> None:
    with Topics(place, config_of()) as topics:
        one = delivery(place, topics, truncate="fail")
        with pytest.raises(CaptureError, match="was truncated"):
            one.deliver(Batch([EngineRecord("t", None, envelope("t"), None)], [OFFSET]))


def test_headers_of_messages_are_text(place: FeedPlace, broker: MemoryBroker) -> None:
    headers = orjson.dumps([("id", '"e1"'), ("n", "5"), ("none", None)])
    with Topics(place, config_of()) as topics:
        one = delivery(place, topics)
        one.deliver(Batch([EngineRecord("t", b"k", b"{}", headers)], [OFFSET]))

    assert records(broker, "t")[0].headers == [("id", b"e1"), ("n", b"5"), ("none", None)]


def test_the_history_of_the_schema_is_kept_and_read_again(
    place: FeedPlace, broker: MemoryBroker
) -> None:
    with Topics(place, config_of()) as topics:
        one = delivery(place, topics)
        one.deliver(Batch([], [OFFSET], ["create table a", "create table b"]))
        another = delivery(place, topics)

    assert another.history == ["create table a", "create table b"]
    assert history_topic(NAME) in broker.admin().topics()


@pytest.mark.parametrize(
    ("offset", "is_in_snapshot"),
    [
        ('{"lsn":5}', False),
        ('{"snapshot":"INITIAL"}', True),
        ('{"snapshot":true}', True),
        ('{"snapshot":null}', False),
    ],
)
def test_the_position_tells_whether_a_snapshot_is_being_read(
    place: FeedPlace, offset: str, is_in_snapshot: bool
) -> None:
    with Topics(place, config_of()) as topics:
        one = delivery(place, topics)
        assert one.is_in_snapshot

        one.deliver(Batch([], [("k", offset)]))

        assert one.is_in_snapshot is is_in_snapshot


def test_the_position_of_another_connector_is_refused(place: FeedPlace) -> None:
    with Topics(place, config_of()) as topics:
        delivery(place, topics).deliver(Batch([], [OFFSET]))

        with pytest.raises(CaptureError, match="give the stage another name"):
            delivery(place, topics, connector_class="org.Mongo")
