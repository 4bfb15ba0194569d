"""What each action does with an event."""

from typing import Any

import orjson
import pytest

from headrace.connectors.kafka_trigger import parse_start
from tests.unit.running import Running, running


def run_of(action: str, config: dict[str, Any], *events: Any, trigger: str = "") -> Running:
    text = orjson.dumps(config).decode()
    run = running(f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in{trigger}}}, out: it}}
          - {{name: it, action: {action}, config: {text}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out}}}}
        """)
    run.run(*events)
    return run


def outcome(action: str, config: dict[str, Any], event: Any) -> Any:
    """What comes of an event: a list of events, or the text of the error."""
    run = run_of(action, config, event)
    if run.dead_letters:
        return (run.dead_letters[0].headers["headrace-error"] or b"").decode()
    return run.data("out")


EVENT = {"a": "01.00", "b": 9.1, "c": True, "d": '{"x": 1}', "e": None}


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({}, EVENT),
        ({"take": ["a", "b"]}, {"a": "01.00", "b": 9.1}),
        ({"drop": ["a", "d", "nowhere"]}, {"b": 9.1, "c": True, "e": None}),
        ({"take": ["c"], "rename": {"a": "z"}, "convert": {"a": "int"}}, {"c": True, "z": 1}),
        ({"take": [], "convert": {"b": "string"}}, {"b": "9.1"}),
        ({"take": [], "convert": {"d": "json"}}, {"d": {"x": 1}}),
        ({"take": [], "rename": {"a": "b", "b": "a"}}, {"b": "01.00", "a": 9.1}),
        ({"take": [], "convert": {"c": "int"}}, {"c": 1}),
        ({"take": [], "set": {"n": "event.b > 9"}}, {"n": True}),
        ({"take": ["a"], "set": {"a": "event.b", "b": "event.a"}}, {"a": 9.1, "b": "01.00"}),
        ({"value": "event.d"}, '{"x": 1}'),
        ({"value": '{"n": 1}', "set": {"m": "event.c"}}, {"n": 1, "m": True}),
    ],
)
def test_map_makes(config: dict[str, Any], made: Any) -> None:
    assert outcome("map", config, EVENT) == [made]


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"take": ["nowhere"]}, "event has no field 'nowhere'; it has a, b, c, d, e"),
        ({"convert": {"e": "int"}}, "cannot convert null to int"),
        ({"convert": {"a": "bool"}}, "cannot convert text to bool: it is none of true, false"),
        ({"convert": {"a": "json"}}, "cannot convert text to json: it is not JSON"),
        ({"each": "event.a"}, "each needs a list, found text"),
    ],
)
def test_map_refuses(config: dict[str, Any], error: str) -> None:
    assert outcome("map", config, EVENT).startswith(error)


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        ("int", "12", 12),
        ("int", -1.9, -1),
        ("int", "1e3", 1000),
        ("int", "x", "cannot convert text to int: it is no number"),
        ("int", "nan", "cannot convert text to int"),
        ("float", "1.5", 1.5),
        ("float", "1e999", "cannot convert text to float"),
        ("float", "nan", "cannot convert text to float"),
        ("string", [1, {"a": None}], '[1,{"a":null}]'),
        ("string", "x", "x"),
        ("bool", "YES", True),
        ("bool", 0, False),
        ("bool", 2, "cannot convert number to bool"),
        ("json", "[1]", [1]),
        ("json", 1, "cannot convert number to json"),
    ],
)
def test_convert_gives_or_refuses(kind: str, value: object, made: object) -> None:
    found = outcome("map", {"convert": {"v": kind}}, {"v": value})

    if isinstance(found, str):
        assert isinstance(made, str)
        assert found.startswith(made)
    else:
        assert found == [{"v": made}]


@pytest.mark.parametrize(
    ("config", "passes"),
    [
        ({"where": "event.n > 1"}, True),
        ({"where": "event.n > 2"}, False),
        ({"field": "t", "match": "abc"}, False),
        ({"field": "t", "match": "ab"}, True),
        ({"field": "t", "match": "abc", "reject_matches": False}, True),
        ({"field": "t", "pattern": "/^a/", "reject_matches": False}, True),
        ({"field": "t", "pattern": "b$", "reject_matches": False}, False),
        ({"field": "t", "match": "x", "pattern": "a", "reject_matches": False}, False),
        ({"field": ["n", "t"], "match": "abc", "reject_matches": False}, True),
        ({"field": "n", "match": "2", "reject_matches": False}, True),
        ({"field": "z", "match": "null", "reject_matches": False}, True),
        ({"field": "y", "match": "true", "reject_matches": False}, True),
        ({"field": "l", "match": '[1,"a"]', "reject_matches": False}, True),
    ],
)
def test_filter_passes_or_drops(config: dict[str, Any], passes: bool) -> None:
    event = {"n": 2, "t": "abc", "z": None, "y": True, "l": [1, "a"]}

    assert outcome("filter", config, event) == ([event] if passes else [])


def test_merge_data_wins_over_the_event_and_may_compute() -> None:
    config = {"data": {"a": 2, "deep": {"b": ["${event.a}", "x-${event.a}"]}}}

    assert outcome("merge_data", config, {"a": 1, "c": 3}) == [
        {"a": 2, "c": 3, "deep": {"b": [1, "x-1"]}}
    ]
    assert "event" in outcome("merge_data", config, [1])


def test_json_decode_decodes_bytes_and_fields() -> None:
    run = run_of("json_decode", {}, b'{"a": 1}', b"{", trigger=", format: bytes")

    assert run.data("out") == [{"a": 1}]
    assert len(run.dead_letters) == 1
    assert outcome("json_decode", {"field": "a"}, {"a": "[1]", "b": 2}) == [{"a": [1], "b": 2}]
    assert "decoded already" in outcome("json_decode", {}, {"a": 1})


@pytest.mark.parametrize("value", [b'{"a" : 1}', b"null", b"[1]", None])
def test_noop_passes_every_record_on_unchanged(value: bytes | None) -> None:
    assert [one.value for one in run_of("noop", {}, value).read("out")] == [value]


@pytest.mark.parametrize(
    ("start", "made"),
    [
        ("earliest", "earliest"),
        ("5", "must be earliest, latest, a time"),
        ("soon", "must be earliest, latest, a time"),
        ("-1x", "is not a duration"),
    ],
)
def test_a_start_is_read_or_refused(start: str, made: str) -> None:
    if made == start:
        assert parse_start(start) == made
        return
    with pytest.raises(ValueError, match=made):
        parse_start(start)
