"""Values with `${...}` in them."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from headrace.runtime.expression.emit import joined_text, map_display, quote
from headrace.runtime.expression.errors import ExpressionError
from headrace.runtime.expression.expression import NAMES, Expression
from headrace.runtime.expression.limits import TEMPLATE_DEPTH_MAX
from headrace.runtime.expression.scan import end_of_embedded
from headrace.runtime.expression.schema import template_schema

_Text = tuple[str | Expression, ...]  # the parts of one text
_ESCAPED: Final = "$${"
_BEGIN: Final = "${"


@dataclass(frozen=True, eq=False)
class Template:
    """A value (null, boolean, number, text, list, map) with `${...}` anywhere in its texts, names of fields included.

    A text that is one whole `${...}` keeps the expression's type; in longer text values read as `as_text` spells them.
    `$${` stands for `${` itself. `value` is what it was parsed from; the sets are those of all its expressions together.
    """

    value: Any
    names: frozenset[str]
    reads: frozenset[str]
    results: frozenset[str]
    env: frozenset[str]
    secrets: frozenset[str]
    event_fields: frozenset[str] | None
    is_constant: bool
    _parsed: Any = field(repr=False)

    @classmethod
    def parse(cls, value: Any, names: frozenset[str] = NAMES) -> "Template":
        """Read a value and check the expressions in it.

        Raises:
            ExpressionError: an expression is wrong, a `${` is never closed, or the value holds something that JSON does not have.
        """
        parsed = _parse(value, names, 1)
        found = list(_expressions(parsed))
        fields = [expression.event_fields for expression in found]
        return cls(
            value=copy.deepcopy(value),
            names=names,
            reads=frozenset().union(*(expression.reads for expression in found)),
            results=frozenset().union(*(expression.results for expression in found)),
            env=frozenset().union(*(expression.env for expression in found)),
            secrets=frozenset().union(*(expression.secrets for expression in found)),
            event_fields=None
            if None in fields
            else frozenset().union(*(known for known in fields if known)),
            is_constant=not found,
            _parsed=parsed,
        )

    @property
    def constant(self) -> Any:
        """The value of a template without expressions; the caller's own copy.

        Raises:
            ValueError: there are expressions in it.
        """
        if not self.is_constant:
            raise ValueError("the template holds expressions, so its value depends on the record")
        return _constant(self._parsed)

    def emit(self, names: Mapping[str, str]) -> str:
        """Python source of the value, which is made anew at each evaluation; see `Expression.emit`."""
        return _emit(self._parsed, names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Template):
            return NotImplemented
        # repr tells 1 from True, which are equal in Python and not the same value of a document.
        return repr(self.value) == repr(other.value) and self.names == other.names

    def __hash__(self) -> int:
        return hash((repr(self.value), self.names))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Template.parse, (self.value, self.names))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return template_schema(cls.parse, cls, NAMES)


def _parse(value: Any, names: frozenset[str], depth: int) -> Any:
    """The same value with every text as a tuple of its parts; maps become lists of pairs in a dict's place."""
    if depth > TEMPLATE_DEPTH_MAX:
        raise ExpressionError(f"a value is nested at most {TEMPLATE_DEPTH_MAX} levels deep", "")
    if isinstance(value, str):
        return _parse_text(value, names)
    if isinstance(value, list | tuple):
        return [_parse(element, names, depth + 1) for element in value]
    if isinstance(value, dict):
        return {
            _parse_text(_name(name), names): _parse(element, names, depth + 1)
            for name, element in value.items()
        }
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(
            "a number in a value is finite; JSON has no infinity and no NaN", str(value)
        )
    if value is None or isinstance(value, bool | int | float):
        return value
    kind = type(value).__name__
    hint = "; put it in quotes to make it text" if kind in {"date", "datetime", "time"} else ""
    raise ExpressionError(
        f"a value holds text, numbers, booleans, null, lists and maps, and this is a {kind}{hint}",
        "",
    )


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ExpressionError(
            f"the name of a field is text, and this is a {type(name).__name__}; put it in quotes",
            str(name),
        )
    return name


def _parse_text(text: str, names: frozenset[str]) -> _Text:
    parts: list[str | Expression] = []
    literal = ""
    at = 0
    while at < len(text):
        if text.startswith(_ESCAPED, at):
            literal += _BEGIN
            at += len(_ESCAPED)
        elif text.startswith(_BEGIN, at):
            begin = at + len(_BEGIN)
            end = end_of_embedded(text, begin)
            if literal:
                parts.append(literal)
                literal = ""
            parts.append(_embedded(text, begin, end, names))
            at = end + 1
        else:
            following = text.find("$", at + 1)
            following = len(text) if following < 0 else following
            literal += text[at:following]
            at = following
    if literal:
        parts.append(literal)
    return tuple(parts)


def _embedded(text: str, begin: int, end: int, names: frozenset[str]) -> Expression:
    inner = text[begin:end]
    try:
        return Expression.parse(inner, names)
    except ExpressionError as error:
        lead = len(inner) - len(inner.lstrip())
        raise ExpressionError(error.message, text, begin + lead + error.offset) from error


def _expressions(parsed: Any) -> Iterator[Expression]:
    if isinstance(parsed, tuple):
        yield from (part for part in parsed if isinstance(part, Expression))
    elif isinstance(parsed, list):
        for element in parsed:
            yield from _expressions(element)
    elif isinstance(parsed, dict):
        for name, element in parsed.items():
            yield from _expressions(name)
            yield from _expressions(element)


def _constant(parsed: Any) -> Any:
    if isinstance(parsed, tuple):
        return "".join(parsed)
    if isinstance(parsed, list):
        return [_constant(element) for element in parsed]
    if isinstance(parsed, dict):
        return {_constant(name): _constant(element) for name, element in parsed.items()}
    return parsed


def _emit(parsed: Any, names: Mapping[str, str]) -> str:
    if isinstance(parsed, tuple):
        if len(parsed) == 1 and isinstance(parsed[0], Expression):
            return parsed[0].emit(names)
        return _emit_text(parsed, names)
    if isinstance(parsed, list):
        return f"[{', '.join(_emit(element, names) for element in parsed)}]"
    if isinstance(parsed, dict):
        return map_display(
            (_emit_text(name, names), _emit(element, names)) for name, element in parsed.items()
        )
    return quote(parsed)


def _emit_text(parts: _Text, names: Mapping[str, str]) -> str:
    return joined_text(
        [part if isinstance(part, str) else (_text_source(part, names), "") for part in parts]
    )


def _text_source(expression: Expression, names: Mapping[str, str]) -> str:
    source = expression.emit(names)
    return source if expression.kind == "text" else f"hr_text({source})"
