"""What is said when an expression fails for a record."""

# ruff: noqa: E501  # messages are compared as the whole lines that they are
import linecache
import sys
from typing import Any

import pytest

from headrace.runtime.errors import RecordError, RetriableError
from headrace.runtime.expression import FUNCTIONS, explain

from .evaluation import SPELLED, evaluate, explained, stage_frame

EVENT: dict[str, Any] = {
    "id": 1,
    "user": "bob@example.org",
    "amount": 5,
    "tags": ["a", "b"],
    "nothing": None,
    "address": {"city": "Ulm"},
    "zero": 0,
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "event.amont > 100",
            "event has no field 'amont'; it has id, user, amount, tags, nothing, address, zero; did you mean 'amount'?",
        ),
        ("event.address.zip", "event.address has no field 'zip'; it has city"),
        ("event.user.id", "event.user is text, so it has no field 'id'"),
        ("event.nothing.id", "event.nothing is null, so it has no field 'id'"),
        ("event.id.x", "event.id is a number, so it has no field 'x'"),
        (
            "event.tags.x",
            "event.tags is a list, so it has no field 'x'; items are read by position: event.tags[0]",
        ),
        ("event.tags[3]", "event.tags[3] is out of range: the list has 2 items"),
        (
            "event.tags[event.user]",
            "event.tags is a list; its parts are read by position, which is a whole number",
        ),
        (
            "event.address[event.user]",
            "event.address has no field with the name in event.user; it has city",
        ),
        ("event.user > event.id", "cannot compare text with number in event.user > event.id"),
        (
            "event.amount > event.nothing",
            "cannot compare number with null in event.amount > event.nothing",
        ),
        ("event.nothing + 1", "cannot add null and number in event.nothing + 1"),
        (
            "event.user * event.id",
            "cannot multiply text and number in event.user * event.id; repeat(text, times) repeats text",
        ),
        (
            "event.user * 2",
            "cannot multiply text and number in event.user * 2; repeat(text, times) repeats text",
        ),
        ("event.nothing * event.id", "cannot multiply null and number in event.nothing * event.id"),
        ("event.id * event.nothing", "cannot multiply number and null in event.id * event.nothing"),
        ("event.user % 2", "cannot divide text and number in event.user % 2"),
        ("event.id / event.zero", "division by zero in event.id / event.zero"),
        ("event.id % event.zero", "division by zero in event.id % event.zero"),
        ("event.zero ** -event.id", "0 has no negative power in event.zero ** (-event.id)"),
        ("-event.user", "cannot negate text in -event.user"),
        (
            "int(event.user)",
            "int needs a number, or text that is a whole number, and got text in int(event.user)",
        ),
        (
            "int(event?.nothing)",
            "int needs a number, or text that is a whole number, and got null in int(event?.nothing)",
        ),
        ("len(event.id)", "len needs text, a list or a map, and got a number in len(event.id)"),
        ("keys(event.id)", "keys needs a map, not a number in keys(event.id)"),
        ("event.nothing.lower()", "event.nothing is null; .lower() is a method of text"),
        (
            "event.user.startswith(1)",
            ".startswith() does not take a number in event.user.startswith(1)",
        ),
        ("event.user?.x", "event.user is text, so it has no field 'x'"),
        ("results.big.x", "results.big is null, so it has no field 'x'"),
        ("results.big?.x.y", "results.big?.x is null, so it has no field 'y'"),
        ("[x.a for x in event.tags]", "x is text, so it has no field 'a'"),
        ("any(x.a for x in event.tags)", "x is text, so it has no field 'a'"),
        ("[x for x in event.id]", "event.id is a number, so a loop cannot go over it"),
        ("[y for x in [event.id] for y in x]", "x is a number, so a loop cannot go over it"),
        ("[f'{event.user}{x.b}' for x in [event.address]]", "x has no field 'b'; it has city"),
        (
            "[y for x in event.tags for y in event.user.lower().missing]",
            "event.user.lower() is text, so it has no field 'missing'",
        ),
        (
            "[y.z for x in event.tags for y in [event.id.lower()]]",
            "event.id is a number; .lower() is a method of text",
        ),
        (
            "[x for x in event.tags if x in event.id]",
            "nothing can be looked for in a number in x in event.id",
        ),
        (
            "f'{event.tags[event.user]}'",
            "event.tags is a list; its parts are read by position, which is a whole number",
        ),
        (
            "f'{event.missing}'",
            "event has no field 'missing'; it has id, user, amount, tags, nothing, address, zero",
        ),
        ("f'{event.user:d}'", "the format does not fit the value in f'{event.user:d}'"),
        ("'a' in event.id", "nothing can be looked for in a number in 'a' in event.id"),
        (
            "1 in event.user",
            "only text can be looked for in text, and not a number, in 1 in event.user",
        ),
        (
            "{event.address: 1}",
            "a map cannot be a field's name or an element of a set in {event.address: 1}",
        ),
        ("parse_json('{}').a", "parse_json('{}') has no field 'a'"),
        (
            "parse_json(event.user)",
            "parse_json needs JSON; this text stops being JSON at character 0 in parse_json(event.user)",
        ),
        (
            "get(event, 'address.city') + 1",
            "cannot add text and number in get(event, 'address.city') + 1; f\"{a}{b}\" joins them as text, int(text) makes a number",
        ),
    ],
)
def test_the_failing_part_is_named_in_the_words_of_the_user(text: str, message: str) -> None:
    # From 3.12 on Python tells the positions of the parts of an f-string more finely, and inlines comprehensions.
    newer = {
        "f'{event.user:d}'": "the format does not fit the value in {event.user:d}",
        "[f'{event.user}{x.b}' for x in [event.address]]": "x has no field 'b'",
    }
    expected = newer.get(text, message) if sys.version_info >= (3, 12) else message

    assert explained(text, EVENT) == expected


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "event is null (a tombstone), so it has no field 'a'"),
        ({}, "event has no field 'a'; it is empty"),
        (5, "event is a number, so it has no field 'a'"),
        (
            {f"f{number}": 1 for number in range(22)},
            "event has no field 'a'; it has f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, ... and 12 more",
        ),
        ({"x" * 500: 1}, f"event has no field 'a'; it has {'x' * 40}"),
        ({1: 1}, "event has no field 'a'; it has 1"),
    ],
)
def test_an_event_without_the_field(event: object, message: str) -> None:
    assert explained("event.a", event) == message


def test_values_of_the_record_are_never_told() -> None:
    secrets = {"a": "hunter2", "b": {"city": 1}, "c": ["hunter2"], "d": 424242, "n": None}
    texts = [
        "int(event.a)", "float(event.a)", "event.b[event.a]", "event.c[event.d]", "event.a + event.d", "event.d[event.a]",
        "{}[event.a]", "{event.c: 1}", "event.n[event.a]", "parse_json(event.a)", "parse_time(event.a)", "f'{event.a:d}'",
        "event.d.x", "uuid5(event.a, event.a)", "base64_decode(event.a)", "sorted([event.a, event.d])", "int(event.a, event.d)",
        "event.a.split('')", "sum(event.c)", "sorted([event.b], by=event.a)", "[x.y for x in event.a]", "round(event.a)",
        "format_time(event.a)", "year(event.d, event.a)", "range(event.a)", "chunk(event.c, event.a)",
        "event.d ** event.a", "event.a < event.d", "event.d in event.a", "unique([event.b])", "join([event.d], event.a)",
    ]  # fmt: skip

    for text in texts:
        said = explained(text, secrets)

        assert "hunter2" not in said, text
        assert "424242" not in said, text
        assert "the expression failed" not in said, text


def test_without_positions_the_type_of_the_error_is_told() -> None:
    assert explain(KeyError("hunter2"), None, SPELLED) == "the expression failed with KeyError"


def test_without_its_source_the_type_of_the_error_is_told() -> None:
    with pytest.raises(KeyError) as caught:
        evaluate("event.a", {})
    linecache.clearcache()

    said = explain(caught.value, stage_frame(caught.value), SPELLED)

    assert said == "the expression failed with KeyError"


def test_an_error_of_the_runtime_speaks_for_itself() -> None:
    assert explain(RetriableError("try again"), None, {}) == "try again"
    assert explain(RecordError("no such user"), None, {}) == "no such user"


class Hostile(dict[str, Any]):
    """A value that fails in every way."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError("hunter2")

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_explaining_never_fails_and_runs_nothing_of_the_record() -> None:
    said = explained("event.a.b", Hostile())

    assert said == "event has no field 'a'"


def test_code_that_is_no_expression_is_told_by_the_type_of_its_error() -> None:
    filename = "<flow statement>"
    code = "def stage(event_3):\n    value, other = event_3\n    return value\n"
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    names: dict[str, Any] = {**FUNCTIONS, "__builtins__": {}}
    exec(compile(code, filename, "exec"), names)

    with pytest.raises(ValueError, match="unpack") as caught:
        names["stage"]("hunter2")
    traceback = caught.value.__traceback__

    assert traceback is not None
    assert "ValueError" in explain(caught.value, traceback.tb_next, SPELLED)
