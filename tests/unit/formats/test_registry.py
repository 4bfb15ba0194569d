"""What a registry answers, or does not, and what that means for records, for the flow and for the worker."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from headrace.runtime.clock import ManualClock
from headrace.runtime.contracts.format import FormatUse
from headrace.runtime.errors import (
    FlowError,
    RecordError,
    RetriableError,
    SettingsError,
    UndecodableError,
)
from headrace.runtime.schema_registry import SchemaRegistrySettings
from headrace.runtime.settings import load_settings
from headrace.runtime.task.formats import Formats
from tests.registry_server import RegistryServer, registry_running
from tests.unit.formats.registered import decoder, encoder, formats_of, framed
from tests.unit.formats.test_avro import EVENT, ORDER, how
from tests.unit.running import plans_of, running

AVRO_FLOW = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in, format: avro}, out: sink}
  - {name: sink, action: publish, config: {topic: orders, format: avro}}
"""
READING = AVRO_FLOW.replace("topic: orders, format: avro", "topic: orders")
NEXT = {**ORDER, "fields": [*ORDER["fields"], {"name": "more", "type": "string"}]}


def avro(registry: RegistryServer, event: Any = EVENT, subject: str = "in-value") -> bytes:
    """A value that somebody else has written."""
    registry.put(subject, ORDER)
    made: bytes = encoder(formats_of(registry), f'avro {{"schema":{{"subject":"{subject}"}}}}')(
        event
    )
    return made


# ---- reading


def test_a_schema_is_asked_for_once(registry: RegistryServer) -> None:
    decode = decoder(formats_of(registry), "avro")
    value = avro(registry)
    registry.asked.clear()

    assert decode(value) == decode(value) == EVENT
    assert registry.asked == ["GET /schemas/ids/1"]


def test_an_id_that_is_not_there_fails_as_a_record_and_is_asked_for_again_later(
    registry: RegistryServer,
) -> None:
    clock = ManualClock()
    decode = decoder(formats_of(registry, clock), "avro")
    value = framed(1, avro(registry)[5:])
    registry.asked.clear()

    for _ in range(3):
        with pytest.raises(UndecodableError, match="its schema 9 is not in the registry at http"):
            decode(framed(9, b""))
    clock.advance(31)
    with pytest.raises(UndecodableError, match="schema 9"):
        decode(framed(9, b""))

    assert registry.asked == ["GET /schemas/ids/9"] * 2
    assert decode(value) == EVENT


def test_a_schema_of_another_type_names_it(registry: RegistryServer) -> None:
    id_ = registry.put("x", {"type": "object"}, "JSON")

    with pytest.raises(UndecodableError, match="is of type JSON; change the format"):
        decoder(formats_of(registry), "avro")(framed(id_, b""))


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_registry_that_is_out_of_order_is_no_failure_of_the_record(
    registry: RegistryServer, status: int
) -> None:
    value = avro(registry)
    decode = decoder(formats_of(registry), "avro")
    registry.failing = status

    with pytest.raises(RetriableError, match=f"did not tell schema 1 \\(HTTP {status}\\)"):
        decode(value)
    registry.failing = 0

    assert decode(value) == EVENT


def test_a_registry_that_is_away_is_no_failure_of_the_record() -> None:
    with registry_running() as registry:
        value = avro(registry)
        decode = decoder(formats_of(registry), "avro")

    with pytest.raises(RetriableError, match="did not tell schema 1"):
        decode(value)


def test_who_may_not_ask_stops_the_worker_and_reads_no_password() -> None:
    with registry_running(RegistryServer("ann", "correct")) as registry:
        registry.put("orders-value", ORDER)
        refused = formats_of(registry, user="ann", password="wrong-word")
        allowed = formats_of(registry, user="ann", password="correct")

        with pytest.raises(SettingsError, match=r"HTTP 401\); check .*'schema_registry'") as raised:
            decoder(refused, "avro")(framed(1, b""))

        assert "wrong-word" not in str(raised.value)
        assert raised.value.exit_code == 4
        assert encoder(allowed, "avro")(EVENT)


def test_who_may_not_ask_makes_no_dead_letters_of_what_cannot_be_read() -> None:
    with registry_running(RegistryServer("ann", "correct")) as registry:
        registry.put("in-value", ORDER)
        settings = SchemaRegistrySettings(url=registry.url, user="ann", password="wrong")
        run = running(READING, topics=["in"], schema_registry=settings)

        with pytest.raises(SettingsError, match="HTTP 401"):
            run.run(framed(1, b""))
        run.member.close()

        assert run.dead_letters == []


# ---- writing


def test_a_subject_that_is_not_there_is_told_before_the_first_record(
    registry: RegistryServer,
) -> None:
    with pytest.raises(SettingsError, match="subject 'orders-value' has no schema") as raised:
        encoder(formats_of(registry), "avro")

    assert "auto_register: true" in str(raised.value)


def test_a_subject_of_a_topic_that_records_name_is_their_failure(registry: RegistryServer) -> None:
    encode = encoder(formats_of(registry), "avro", None)

    with pytest.raises(RecordError, match="subject 'orders-value' has no schema"):
        encode(EVENT)
    registry.put("orders-value", ORDER)

    assert encode(EVENT)


def test_a_version_of_a_subject_may_be_named(registry: RegistryServer) -> None:
    first = registry.put("shop", ORDER)
    registry.put("shop", NEXT)

    value = encoder(formats_of(registry), how(subject="shop", version=1))(EVENT)

    assert value[:5] == framed(first, b"")
    with pytest.raises(SettingsError, match="subject 'shop' has no version 3"):
        encoder(formats_of(registry), how(subject="shop", version=3))


def test_a_schema_that_is_given_must_be_registered_unless_that_is_asked_for(
    registry: RegistryServer, tmp_path: Path
) -> None:
    file = tmp_path / "order.avsc"
    file.write_bytes(orjson.dumps(ORDER))
    given = how(file=str(file))

    with pytest.raises(SettingsError, match="not registered under subject 'orders-value'"):
        encoder(formats_of(registry), given)
    registered = encoder(formats_of(registry), how(file=str(file), auto_register=True))

    assert registered(EVENT) == encoder(formats_of(registry), given)(EVENT)


def test_a_schema_that_is_not_compatible_says_why_and_what_to_do(
    registry: RegistryServer,
) -> None:
    registry.put("orders-value", ORDER)

    with pytest.raises(SettingsError, match="READER_FIELD_MISSING_DEFAULT_VALUE: more") as raised:
        encoder(formats_of(registry), how(inline=NEXT, auto_register=True))

    assert "give new fields a default" in str(raised.value)


def test_a_registry_that_is_away_at_the_start_is_asked_again_by_the_first_record(
    registry: RegistryServer,
) -> None:
    registry.put("orders-value", ORDER)
    registry.failing = 503

    encode = encoder(formats_of(registry), "avro")
    with pytest.raises(RetriableError, match="did not tell subject 'orders-value'"):
        encode(EVENT)
    registry.failing = 0

    assert encode(EVENT)


# ---- flows


def test_a_flow_reads_and_writes_by_schemas_and_a_record_that_fits_none_is_a_dead_letter(
    registry: RegistryServer,
) -> None:
    registry.put("orders-value", ORDER)
    value = avro(registry)
    settings = SchemaRegistrySettings(url=registry.url)
    run = running(AVRO_FLOW, topics=["in"], schema_registry=settings)

    run.run(value, b"{}", None)
    run.member.close()

    assert [one.value for one in run.read("orders")] == [value, None]
    (letter,) = run.dead_letters
    assert b"in[0]@1 as Avro: it begins with byte 0x7b" in (letter.headers["headrace-error"] or b"")


def test_a_flow_waits_for_its_registry_and_loses_nothing(registry: RegistryServer) -> None:
    registry.put("orders-value", ORDER)
    value = avro(registry)
    run = running(
        AVRO_FLOW, topics=["in"], schema_registry=SchemaRegistrySettings(url=registry.url)
    )
    run.run()
    registry.failing = 503
    run.feed(value)

    run.member.step(0)
    registry.failing = 0
    run.drain()
    run.member.close()

    assert [one.value for one in run.read("orders")] == [value]
    assert run.dead_letters == []


def test_without_the_setting_a_format_says_that_it_needs_it() -> None:
    with pytest.raises(SettingsError, match="format Avro needs the setting 'schema_registry'"):
        Formats().function(FormatUse("avro", "event"))


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("{file: a, inline: b}", "'inline' and 'file' are two schemas"),
        ("{version: 1, file: a}", "'version' is of the registry"),
        ("{auto_register: true}", "'auto_register' needs a schema to register"),
        ("{strategy: record}", "needs the record's name"),
        ("{subject: a, strategy: record, file: b}", "'subject' is given"),
        ("{subjekt: a}", "unknown key 'subjekt' in 'schema'; did you mean 'subject'?"),
    ],
)
def test_a_wrong_choice_of_schema_is_a_mistake_in_the_document(schema: str, told: str) -> None:
    flow = AVRO_FLOW.replace(
        "topic: orders, format: avro", f"topic: x, format: avro, schema: {schema}"
    )

    with pytest.raises(FlowError) as raised:
        plans_of(flow)

    assert told in str(raised.value)


def test_a_schema_beside_a_format_without_one_is_a_mistake() -> None:
    flow = AVRO_FLOW.replace("topic: orders, format: avro", "topic: x, schema: {subject: a}")

    with pytest.raises(FlowError, match="format json has no 'schema'"):
        plans_of(flow)


# ---- settings


def test_the_setting_comes_from_file_and_environment_with_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "headrace.yaml"
    path.write_text(
        "schema_registry: {url: 'http://a:1', user: ann, password: '${secret.REGISTRY}'}"
    )
    monkeypatch.setenv("HEADRACE_SECRET_REGISTRY", "hidden")
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY_URL", "https://b:2")

    found = load_settings({}, path).schema_registry

    assert found is not None
    assert (found.url, found.user) == ("https://b:2", "ann")
    assert found.password is not None
    assert found.password.get_secret_value() == "hidden"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "b:2"}, "must be an address such as"),
        ({"url": "http://u:word@b"}, "holds a password"),
        ({"url": "http://b", "user": "u"}, "go together"),
        ({"url": "http://b", "key": "k"}, "belongs to a 'certificate'"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(given: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        load_settings({"schema_registry": given})

    assert "word@" not in str(raised.value)


def test_files_that_are_not_there_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    settings = SchemaRegistrySettings(url="https://b", ca=tmp_path / "none.pem")

    with pytest.raises(SettingsError, match="check 'ca'"):
        Formats({"schema_registry": settings}).function(FormatUse("avro", "event"))
