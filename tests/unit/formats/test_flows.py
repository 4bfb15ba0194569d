"""Formats in flows: what triggers, tables and `publish` make of them."""

from typing import Any

import pytest

from headrace.runtime.errors import FlowError
from tests.unit.formats.test_debezium import ABOUT, CREATED, DELETED, ROW, TRUNCATED, wrapped
from tests.unit.running import plans_of, running

CHANGES = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in, format: debezium}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
HYDRATE = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: person}
  - {name: person, action: hydrate, config: {table: people, format: debezium, select: [name]}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""
GLOBAL = HYDRATE.replace("table: people,", "table: people, global: true,")
JOIN = """
name: flow
stages:
  - {name: in, action: kafka, config: {topics: in}, out: person}
  - {name: person, action: join, config: {right: {table: people, format: debezium}, type: left}, out: sink}
  - {name: sink, action: publish, config: {topic: out}}
"""


def test_a_trigger_starts_a_run_for_every_change_and_none_for_tombstones_and_heartbeats() -> None:
    run = running(CHANGES, topics=["in"])

    run.run(CREATED, wrapped(DELETED), None, ABOUT["heartbeats"], TRUNCATED, key='{"id":1}')

    assert run.data("out") == [CREATED, DELETED, TRUNCATED]
    assert {one.key for one in run.read("out")} == {b'{"id":1}'}
    assert run.dead_letters == []


def test_a_trigger_may_ask_for_tombstones_and_for_records_about_the_connector() -> None:
    asked = "format: {type: debezium, also: [heartbeats]}, tombstones: pass"
    run = running(CHANGES.replace("format: debezium", asked), topics=["in"])

    run.run(None, ABOUT["heartbeats"], ABOUT["transactions"])

    assert run.read("out")[0].value is None
    assert run.data("out")[1:] == [ABOUT["heartbeats"]]


def test_flows_of_one_group_that_read_a_topic_so_share_its_events() -> None:
    second = CHANGES.replace("name: flow", "name: other").replace("out}", "also}")
    run = running(CHANGES + "group: one\n", second + "group: one\n", topics=["in"])

    run.run(CREATED, None, ABOUT["signals"])

    assert run.data("out") == run.data("also") == [CREATED]


def test_what_is_no_change_is_a_dead_letter_that_says_so() -> None:
    run = running(CHANGES, topics=["in"])

    run.run(b"?", ["list"])

    errors = [one.headers["headrace-error"] or b"" for one in run.dead_letters]
    assert b"in[0]@0 as a change event of Debezium: it is no JSON" in errors[0]
    assert b"found a list" in errors[1]


@pytest.mark.parametrize("flow", [HYDRATE, GLOBAL])
def test_a_captured_table_hydrates_with_its_rows_until_they_are_deleted(flow: str) -> None:
    run = running(flow, topics=["in", "people"])

    run.run(CREATED, ABOUT["heartbeats"], topic="people", key='{"id":1}')
    run.run({"n": 1}, key='{"id":1}')
    run.run({**ROW, "name": "Bea", "__deleted": "false"}, topic="people", key='{"id":1}')
    run.run({"n": 2}, key='{"id":1}')
    run.run(wrapped(DELETED), topic="people", key='{"id":1}')
    run.run({"n": 3}, key='{"id":1}')

    found: list[Any] = [one["people"] for one in run.data("out")]
    assert found == [{"name": "Ada"}, {"name": "Bea"}, None]


def test_a_captured_table_joins_and_a_tombstone_removes_its_row_too() -> None:
    run = running(JOIN, topics=["in", "people"])

    run.run(wrapped(CREATED), topic="people", key="k")
    run.run({"n": 1}, key="k")
    run.run(None, topic="people", key="k")
    run.run({"n": 2}, key="k")

    assert [one["right"] for one in run.data("out")] == [ROW, None]


def test_a_truncate_of_a_captured_table_is_a_failing_record() -> None:
    run = running(JOIN, topics=["in", "people"])

    run.run(CREATED, TRUNCATED, topic="people", key="k")

    (letter,) = run.dead_letters
    assert b"TRUNCATE" in (letter.headers["headrace-error"] or b"")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("debesium", "there is no format 'debesium'; did you mean 'debezium'?"),
        ("{type: debezium, time: iso}", "unknown key 'time'; did you mean 'times'?"),
        ("{type: debezium, times: text}", "'times' must be 'keep' or 'iso', found 'text'"),
        ("{type: json, times: iso}", "format json has no 'times'"),
        ("{times: iso}", "must be the name of a format, or a mapping with the name as `type`"),
        ("7", "must be the name of a format"),
    ],
)
def test_a_wrong_format_is_a_mistake_in_the_document(given: str, told: str) -> None:
    with pytest.raises(FlowError) as raised:
        plans_of(CHANGES.replace("debezium", given))

    assert told in str(raised.value)


def test_a_format_that_cannot_be_written_is_refused_by_publish() -> None:
    with pytest.raises(FlowError, match=r"for reading only; write `format: json`"):
        plans_of(CHANGES.replace("topic: out", "topic: out, format: debezium"))


def test_a_row_is_found_by_the_key_that_debezium_gives_it() -> None:
    flow = HYDRATE.replace("select: [name]", "key: \"{'id': event.person}\"")
    run = running(flow, topics=["in", "people"])

    run.run(CREATED, topic="people", key='{"id":1}')
    run.run({"person": 1}, {"person": 2})

    assert [one["people"] for one in run.data("out")] == [ROW, None]


@pytest.mark.parametrize("name", ["avro", "protobuf", "json_schema"])
def test_a_flow_in_memory_needs_no_registry_as_its_values_are_json(name: str) -> None:
    flow = CHANGES.replace("debezium", name).replace("topic: out", f"topic: out, format: {name}")
    run = running(flow, topics=["in"])

    run.run({"id": 1}, None, b"?")

    assert [one.value for one in run.read("out")] == [b'{"id":1}', None]
    assert b"a test's values are JSON" in (run.dead_letters[0].headers["headrace-error"] or b"")
