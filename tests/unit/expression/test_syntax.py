"""What is accepted, what an expression reads, and what is said of mistakes."""

import pickle

import pytest

from headrace.runtime.errors import HeadraceError
from headrace.runtime.expression import NAMES, Expression, ExpressionError

from .evaluation import evaluate


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "an expression is needed here", 0),
        ("evnt.a", "unknown name 'evnt'; did you mean 'event'?", 0),
        ("event.currency == EUR", "unknown name 'EUR'; text needs quotes: 'EUR'", 18),
        ("lenn(event.a)", "unknown function 'lenn'; did you mean 'len'?", 0),
        ("len", "'len' is a function; call it: len(...)", 0),
        ("event.a && event.b", "use 'and' in place of '&&'", 8),
        ("event.a || event.b", "use 'or' in place of '||'", 8),
        ("!event.a", "use 'not' in place of '!'", 0),
        ("event.a = 3", "use '==' to compare", 8),
        ("event.a === 3", "use '==' in place of '==='", 8),
        ("event.a ? 1 : 2", "x if condition else y", 8),
        ("event.a ?? 1", "coalesce(a, b)", 8),
        ("event.a +* 2", "'*' is not expected here", 9),
        ("event.a event.b", "is not expected here", 8),
        ("event.a +", "the expression ends too early", 9),
        ("(event.a", "'(' is never closed", 0),
        ("event.a)", "')' closes nothing", 7),
        ("[event.a)", "')' does not close the '['", 8),
        ("event.name == 'x", "never closed", 14),
        ("now() > 1", "use `timestamp`", 0),
        ("random()", "no randomness", 0),
        ("uuid()", "no randomness", 0),
        ("event.a.format(1)", "write an f-string", 0),
        ("event.items()", "write items(event)", 0),
        ("event.get('a')", "write get(event,", 0),
        ("event.name.lowr()", "did you mean 'lower'?", 0),
        ("len(1, 2)", "len takes 1 argument, and gets 2", 0),
        ("min()", "min takes at least 1 argument, and gets 0", 0),
        ("sorted(event.a, key=1)", "sorted has no argument named 'key'; it has by, reverse", 0),
        ("get(event, 'a', default=1, 2)", "positional argument follows keyword argument", 28),
        ("event.a is 3", "'is' is for null only; use '==' to compare", 11),
        ("matches(event.a, event.b)", "must be written out as text", 17),
        ("matches(event.a, '(?=x)')", "google-re2 does not accept the pattern", 17),
        ("format_time(timestamp, '%Q')", "a time's format is text", 23),
        ("format_time(timestamp, zone='Mars/Base')", "a time zone is written like", 28),
        ("'é' + evnt.a", "did you mean 'event'", 6),
        ("f'é {evnt.a}'", "did you mean 'event'", 5),
        ("event.a\n  and evnt.b", "did you mean 'event'", 14),
        ("results", "results.<stage>", 0),
        ("secret[event.a]", "secret.<NAME>", 0),
        ("'%d' % 1", "f-string", 0),
        ("event.µs", 'write such a name in quotes: ["µs"]', 6),
        ("\u201cx\u201d", "straight quotes", 0),
        ("true.a", "no such part", 0),
        ("1 if event.a", "expected 'else'", 0),
        ("join(x for x in event.a, ',')", "goes into brackets", 5),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_way_out(
    text: str, message: str, offset: int
) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)

    assert message.lower() in caught.value.message.lower()
    assert caught.value.offset == offset
    assert f"at column {offset + 1} of " in str(caught.value)
    assert isinstance(caught.value, HeadraceError)


def test_a_long_expression_is_shown_around_the_mistake() -> None:
    text = "event.a + " * 40 + "evnt.b" + " + event.a" * 5

    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)

    assert len(str(caught.value)) < 200
    assert "evnt.b" in str(caught.value)


def test_space_around_and_lines_within_do_not_matter() -> None:
    assert evaluate("\n event.a > 1\n   and event.b\n", {"a": 2, "b": "yes"}) == "yes"


def test_true_false_and_null_are_spelled_as_in_yaml_or_as_in_python() -> None:
    assert evaluate("[true, false, null, True, False, None]") == [True, False, None] * 2


def test_what_an_expression_reads() -> None:
    expression = Expression.parse(
        "event.a.b + results.big.x + results['my stage'] + env.HOME + secrets.TOKEN + run.id"
    )

    assert expression.reads == {"event", "results", "env", "secret", "run"}
    assert expression.results == {"big", "my stage"}
    assert expression.env == {"HOME"}
    assert expression.secrets == {"TOKEN"}
    assert expression.event_fields == frozenset({"a"})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("1", set()),
        ("event", None),
        ("event.a.b + event['c d']", {"a", "c d"}),
        ("event?.a?.b", {"a"}),
        ("get(event, 'a.b', 0)", {"a"}),
        ("get(event, ['a.b', 'c'])", {"a.b"}),
        ("get(event, event.path)", None),
        ("has(event, 'a.b')", {"a"}),
        ("pick(event, 'a', 'b')", {"a", "b"}),
        ("pick(event, event.names)", None),
        ("'a' in event", {"a"}),
        ("event.a in event", None),
        ("event[event.name]", None),
        ("keys(event)", None),
        ("[x.b for x in event.a]", {"a"}),
        ("f'{event.a:>5}'", {"a"}),
        ("event.a[event.b]", {"a", "b"}),
        ("key", set()),
    ],
)
def test_the_fields_of_the_event_that_an_expression_reads(
    text: str, fields: set[str] | None
) -> None:
    expected = None if fields is None else frozenset(fields)

    assert Expression.parse(text).event_fields == expected


def test_expressions_are_equal_by_text_and_names() -> None:
    one, same = Expression.parse("event.a"), Expression.parse(" event.a ")

    assert one == same
    assert hash(one) == hash(same)
    assert one != Expression.parse("event.b")
    assert one != Expression.parse("event.a", NAMES | {"item"})


def test_an_expression_survives_pickling() -> None:
    expression = Expression.parse("item.a", NAMES | {"item"})

    copy = pickle.loads(pickle.dumps(expression))

    assert copy == expression
    assert copy.emit({"item": "x"}) == 'x["a"]'


def test_added_names_are_names() -> None:
    names = NAMES | {"item"}

    assert Expression.parse("item.price > event.limit", names).reads == {"item", "event"}


@pytest.mark.parametrize(
    ("text", "event", "value"),
    [
        ("event?.a", None, None),
        ("event?.a", {}, None),
        ("event?.a?.b", {"a": None}, None),
        ("event?.a?.b", {"a": {"b": 1}}, 1),
        ("event.a?.from", {"a": {"from": 1}}, 1),
        ("(event)?.a", {"a": 1}, 1),
        ("f'{event?.a}'", {"a": 1}, "1"),
        ("'?.'", None, "?."),
        ("event.a?.b or 'none'", {"a": {}}, "none"),
    ],
)
def test_a_safe_field_is_null_where_there_is_nothing(
    text: str, event: object, value: object
) -> None:
    assert evaluate(text, event) == value
