"""Expressions that are meant to do harm: each is refused when the flow is read, or stopped when a record meets it."""

import pytest

from headrace.runtime.expression import EvaluationError, Expression, ExpressionError, Template

from .evaluation import evaluate, explained

LONG = "x" * 100_000
EVENT = {"s": LONG, "l": list(range(2000)), "n": 10**9, "t": "ab", "one": 1, "q": '"\\' * 1000}

REFUSED = [
    # ways to Python's internals
    "().__class__",
    "event.__class__.__mro__",
    "''.__class__.__subclasses__()",
    "[].__len__()",
    "__import__('os')",
    "__builtins__",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "globals()",
    "getattr(event, 'a')",
    "type(event)",
    "vars()",
    "hr_get",
    "hr_budget_of()",
    "event.s.format(event)",
    "event.s.format_map(event)",
    "'{0.__class__}'.format(event)",
    "event.s.translate({})",
    "event.s.encode()",
    "event.pop('a')",
    "event.update(a=1)",
    "event.get('a')",
    "(event.run)()",
    "event['run']()",
    "event.a.b.c()",
    "(len)(event)(1)",
    "len.__self__",
    "len",
    # statements and functions in disguise
    "lambda: 1",
    "(lambda x: x(x))(lambda x: x(x))",
    "(x := 1)",
    "[y := 1]",
    "await event",
    "[x async for x in event.l]",
    "(yield 1)",
    "(yield from event)",
    "*event",
    "[*event.l]",
    "len(*event)",
    "merge(**event)",
    "{**event}",
    "import os",
    "event; event",
    "event = 1",
    "a) + (b",
    "event # comment",
    "event\\\n.a",
    "`id`",
    "@event",
    "b'bytes'",
    "...",
    "1j",
    "'''text'''",
    "f'{event!r}'",
    "f'{event:{event.n}}'",
    "f'{event.one:1000000000d}'",
    "f'{1.5:.1000000000f}'",
    "'%1000000000d' % 1",
    "f'%d' % 1",
    "1 << 100000000",
    "event @ event",
    "event is true",
    "event[1, 2]",
    "'\\ud800'",
    "event.\ua66ename",
    # names that hide others
    "[event for event in event.l]",
    "[len for len in event.l]",
    "[true for true in event.l]",
    "[x for x.y in event.l]",
    "[x for event['a'] in event.l]",
    "[[x for x in event.l] for x in event.l]",
    "[__x__ for __x__ in event.l]",
    "(x for x in event.l)",
    "keys(x for x in event.l)",
    # secrets and settings as a whole
    "secret",
    "secret[event.t]",
    "keys(secret)",
    "to_json(env)",
    "results",
    # patterns
    "matches(event.s, event.t)",
    "matches(event.s, '(?=a)')",
    "matches(event.s, r'(a)\\1')",
    "matches(event.s, 'a{1000}{1000}{1000}')",
    "matches(event.s, '(')",
    "extract(event.s, '" + "a" * 2000 + "')",
    # time and chance
    "now()",
    "random()",
    "uuid4()",
    # size and depth
    "(" * 60 + "1" + ")" * 60,
    "(" * 5000 + "1" + ")" * 5000,
    "-" * 9000 + "1",
    "not " * 2400 + "true",
    "1**" * 3000 + "1",
    "event" + ".a" * 4000,
    "event" + "?.a" * 3000,
    "1" + "+1" * 4000,
    "1 if 1 else " * 800 + "1",
    "[" * 40 + "x for x in [" * 30,
    "'" + "a" * 20_000 + "'",
    "[" + "1," * 4000 + "]",
    "9" * 5000,
    "[x for a in [event.s + event.s]"
    + "".join(f" for {chr(98 + i)} in [{chr(97 + i)} + {chr(97 + i)}]" for i in range(12))
    + " for x in [1]]",
    (
        "[f for a in [[event, event]] for b in [[a, a, a, a]] for c in [[b, b, b, b]] for d in [[c, c, c, c]]"
        " for e in [[d, d, d, d]] for f in [[e, e]]]"
    ),
    "[f for a in [event.n ** 8] for b in [a ** 8] for c in [b ** 8] for f in [c ** 8]]",
    (
        "[f for a in [f'{[event.q]}'] for b in [f'{[[a]]}'] for c in [f'{[b, b, b, b]}'] for d in [f'{[c, c, c, c]}']"
        " for e in [f'{[d, d, d, d]}'] for f in [1]]"
    ),
    "[1 " + "for x in [1] " * 20 + "]",
]

STOPPED = [
    "event.s * event.n",
    "event.n * event.s",
    "event.l * event.n",
    "'ab' * event.n",
    "event.n * 'ab'",
    "[0] * event.n",
    "[event.s] * 1000000",
    "'a' * 10 ** 9",
    "repeat(event.s, 1000)",
    "repeat(event.s, event.n)",
    "repeat([0], event.n)",
    "event.s % event.one",
    "event.n ** event.n",
    "10 ** 10 ** 10",
    "2 ** 100000",
    "event.n ** 1000",
    "(event.n ** 100) ** 100",
    "(-8) ** 0.5",
    "range(event.n)",
    "range(10 ** 30)",
    "range(0, 10, 0)",
    "range(0 - event.n, event.n)",
    "[x for x in range(1000) for y in range(1000)]",
    "[[[1 for z in range(100)] for y in range(100)] for x in range(100)]",
    "[y for x in event.l for y in event.l]",
    "any(x + y < 0 for x in event.l for y in event.l)",
    "sum(len([y for y in event.l]) for x in event.l)",
    "[event.s for x in event.l]",
    "[event for x in event.l]",
    "[{'a': [event.s]} for x in event.l]",
    "{x: event.s for x in event.l}",
    "[f'{event.s}' for x in event.l]",
    "[event.s + 'a' for x in event.l]",
    "[event.s.upper() for x in event.l]",
    "[event.s if x else 1 for x in range(1, 1000)]",
    "[split(event.s, 'x') for x in event.l]",
    "join([event.s for x in range(100)])",
    "join(event.s for x in range(20))",
    "','.join([event.s for x in range(20)])",
    "event.s.replace('x', 'yyyyyyyyyyyyyyyyyyyy')",
    "event.s.replace('', event.s)",
    "replace(event.s, 'x', event.s)",
    "replace_matches(event.s, 'x', event.s)",
    "replace_matches(event.s, '', 'yyyyyyyyyyyyyyyyyyyyyyy')",
    "event.t.ljust(event.n)",
    "event.t.rjust(event.n)",
    "event.t.center(event.n)",
    "event.t.zfill(event.n)",
    "zfill(event.t, event.n)",
    "round(event.one, 0 - event.n)",
    "round(event.one, event.n)",
    "format_time(0, event.s)",
    "format_time(event.n ** 3)",
    "format_time(0, '%Y', event.s)",
    "parse_time(event.s)",
    "parse_json('[' + event.s)",
    "parse_json('[' * 1000000)",
    "int(event.s)",
    "str([event.q, event.q, event.q, event.q] * 200)",
    "to_json([event.s] * 100)",
    "url_encode(repeat('%', 1000000))",
    "base64_encode(repeat('a', 1000000))",
    "flatten([event.l] * 100)",
    "uuid5('a', event.s)",
    "chunk(event.l, 0)",
    "[event] * 100000",
    "to_json([event.s] * 90000)",
    "[x for x in event.l if event.s.upper() == x]",
    "[x for x in event.l if sha256(event.s) == x]",
    "[x for x in event.l if to_json(event) == x]",
    "any(x in event.s for x in [str(y) for y in event.l])",
    "sum(1 for x in range(10000) if x in event.l)",
    "int(repeat('9', 5000))",
]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_it_is_refused_when_the_flow_is_read(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression.parse(text)


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_it_is_refused_inside_of_a_template(text: str) -> None:
    with pytest.raises(ExpressionError):
        Template.parse({"a": ["before ${" + text + "} after"]})


@pytest.mark.parametrize("text", STOPPED)
def test_it_is_stopped_when_a_record_meets_it(text: str) -> None:
    with pytest.raises((EvaluationError, TypeError, ValueError)):
        evaluate(text, EVENT)

    assert LONG[:100] not in explained(text, EVENT)


def test_a_deep_value_is_an_error_and_no_crash() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]

    with pytest.raises((EvaluationError, RecursionError)):
        evaluate("to_json(event.a)", {"a": value})
    with pytest.raises(RecursionError):
        evaluate("str(event.a)", {"a": value})


def test_a_template_is_not_nested_without_end() -> None:
    value: object = 1
    for _ in range(1000):
        value = [value]

    with pytest.raises(ExpressionError, match="nested at most 50"):
        Template.parse(value)
