"""Random expressions over random records: headrace's value is Python's own value of the same expression."""

import warnings
from dataclasses import dataclass
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.runtime.expression import (
    FUNCTIONS,
    NAMES,
    EvaluationError,
    Expression,
    ExpressionError,
    Template,
)

FIELDS = ["a", "b", "user", "items", "from", "two words", "ünï"]


@dataclass(frozen=True)
class Spelling:
    """One expression in headrace's words and in Python's."""

    ours: str
    python: str


def same(text: str) -> Spelling:
    return Spelling(text, text)


def combined(pattern: str, *parts: Spelling) -> Spelling:
    return Spelling(
        pattern.format(*(part.ours for part in parts)),
        pattern.format(*(part.python for part in parts)),
    )


def field(value: Spelling, name: str) -> Spelling:
    ours = f"{value.ours}.{name}" if name.isidentifier() else f'{value.ours}["{name}"]'
    return Spelling(ours, f'{value.python}["{name}"]')


def safe_field(name: str) -> Spelling:
    return Spelling(f"event?.{name}", f"(None if event is None else event.get({name!r}))")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(-1e6, 1e6, allow_nan=False)
    | st.text("abc ä{}'\"\\", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6) | json_values

literals = st.one_of(
    st.sampled_from(
        [Spelling("true", "True"), Spelling("false", "False"), Spelling("null", "None")]
    ),
    st.integers(0, 20).map(lambda number: same(str(number))),
    st.sampled_from(["1.5", "0.25", "1e3"]).map(same),
    st.text("abcä{}'\"\\\n", max_size=4).map(lambda text: same(repr(text))),
)
paths = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3).map(
    lambda names: _path(Spelling("event", "event"), names)
)


def _path(value: Spelling, names: list[str]) -> Spelling:
    for name in names:
        value = field(value, name)
    return value


BINARY = ["+", "-", "/", "//", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or"]
FUNCTION_NAMES = ["len", "bool", "abs", "any", "all", "sum", "sorted", "min", "max", "str", "float"]
METHOD_NAMES = ["lower", "upper", "strip", "title", "isdigit", "split", "splitlines"]
LOOPS = [
    "[{0} for x in {1} if {2}]",
    "sum({0} for x in {1} if {2})",
    "{{x: {0} for x in {1} if {2}}}",
    "any([{0} for y in {1} if {2}] for x in {1})",
]


def _shaped(
    patterns: list[str], *parts: st.SearchStrategy[Spelling]
) -> st.SearchStrategy[Spelling]:
    """One of the patterns, filled with parts."""
    return st.builds(combined, st.sampled_from(patterns), *parts)


def _operations(inner: st.SearchStrategy[Spelling]) -> st.SearchStrategy[Spelling]:
    return st.one_of(
        _shaped([f"({{0}} {sign} {{1}})" for sign in [*BINARY, "not in"]], inner, inner),
        _shaped(["(({0}) < ({1}) < ({2}))", "(({0}) == ({1}) < ({2}))"], inner, inner, inner),
        _shaped(["(-{0})", "(+{0})", "(~{0})", "(not {0})"], inner),
        _shaped(["({0} if {1} else {2})"], inner, inner, inner),
        _shaped(["[{0}, {1}]", "{{'x': {0}, {1}: 1}}"], inner, inner),
        _shaped(["{0}[{1}]", "{0}[{1}:]", "({0}).startswith({1})"], paths, inner),
        _shaped([f"{name}({{0}})" for name in FUNCTION_NAMES], inner),
        _shaped([f"({{0}}).{name}()" for name in METHOD_NAMES], paths),
        _shaped(["(float({0}) * {1})", "(float({0}) % {1})"], inner, inner),
        _shaped(["({0} ** 2)", "({0} ** -1)"], inner),
        st.builds(_loop, st.sampled_from(LOOPS), inner, inner, inner),
        paths.map(lambda path: combined("({0} is {1})", path, Spelling("null", "None"))),
        st.sampled_from(["a", "user", "from", "ünï"]).map(safe_field),
        paths.filter(lambda path: '"' not in path.ours).map(_formatted),
    )


def _formatted(path: Spelling) -> Spelling:
    python = path.python.replace('"', "'")
    return Spelling(f'f"<{{{path.ours}}}>{{{{}}}}"', f'f"<{{{python}}}>{{{{}}}}"')


def _loop(pattern: str, element: Spelling, values: Spelling, test: Spelling) -> Spelling:
    def inside(text: str) -> str:
        return text.replace("event", "x") if " for " not in text else text

    return Spelling(
        pattern.format(inside(element.ours), values.ours, inside(test.ours)),
        pattern.format(inside(element.python), values.python, inside(test.python)),
    )


expressions = st.recursive(literals | paths, _operations, max_leaves=10)


KNOWN = ("written out here", "name 'x' is taken", "times over")


def _parsed(text: str) -> Expression | None:
    """The expression; None for the few things that Python finds wrong at run time and headrace at once."""
    try:
        return Expression.parse(text)
    except ExpressionError as error:
        if any(reason in error.message for reason in KNOWN):
            return None
        raise


def _outcome(source: str, names: dict[str, Any]) -> Any:
    """The value, or the kind of error: a bound of ours stands for the TypeError or ValueError that Python raises later."""
    try:
        return eval(source, names)
    except EvaluationError:
        return ValueError
    except Exception as error:
        return type(error)


def _python(source: str, event: Any) -> Any:
    with warnings.catch_warnings():
        # Such as "abc"["x"], which headrace refuses early.
        warnings.simplefilter("ignore", SyntaxWarning)
        return _outcome(source, {"event": event})


@given(expressions, records)
@example(Spelling("f'{event.a}'", "f\"{event['a']}\""), {"a": 1})
def test_the_value_is_that_of_python(expression: Spelling, event: Any) -> None:
    parsed = _parsed(expression.ours)
    if parsed is None:
        return
    source = parsed.emit({"event": "event_0"})

    ours = _outcome(source, {**FUNCTIONS, "__builtins__": {}, "event_0": event})

    theirs = _python(expression.python, event)
    assert repr(ours) == repr(theirs), source


@given(records, expressions)
def test_a_template_of_one_expression_keeps_its_value(event: Any, expression: Spelling) -> None:
    alone = _parsed(expression.ours)
    if alone is None:
        return
    names = {**FUNCTIONS, "__builtins__": {}, "event": event}

    template = Template.parse({"it": ["${" + expression.ours + "}"]})

    expected = _outcome(alone.emit({"event": "event"}), dict(names))
    value = _outcome(template.emit({"event": "event"}), dict(names))
    assert repr(value) == repr(expected if isinstance(expected, type) else {"it": [expected]})


@given(json_values)
def test_a_value_without_expressions_is_itself(value: Any) -> None:
    template = Template.parse(value)

    assert template.is_constant
    assert repr(template.constant) == repr(value)
    assert repr(eval(template.emit({}), {"__builtins__": {}})) == repr(value)


@given(st.text(max_size=80) | st.text("event.a?()[]{}'\"+-*/%<>=!&|^~:,# \\\nfor in", max_size=60))
def test_any_text_is_accepted_or_refused_with_a_place_in_it(text: str) -> None:
    refused: ExpressionError | None = None

    try:
        source = Expression.parse(text).emit(dict.fromkeys(NAMES, "name"))
        compile(source, "accepted", "eval")
    except ExpressionError as error:
        refused = error

    assert refused is None or 0 <= refused.offset <= len(refused.text)
