"""Why an expression failed, in the words of the person who wrote it. Costs nothing until something fails."""

import ast
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from headrace.runtime.errors import HeadraceError
from headrace.runtime.expression.errors import EvaluationError, did_you_mean, kind_of, with_article
from headrace.runtime.expression.failure import UNKNOWN, Failure, failure_of
from headrace.runtime.expression.functions import TABLE
from headrace.runtime.expression.spell import is_guard, safe_field_of

_FIELDS_SHOWN: Final = 10
_FIELD_CHARACTERS: Final = 40
_FIELDS_COMPARED: Final = 200
_ITEM: Final = "no item at a position"
_TYPE_NAMES: Final = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "NoneType": "null",
    "list": "list",
    "tuple": "list",
    "dict": "map",
    "set": "set",
    "frozenset": "set",
    "bytes": "bytes",
}
_VERBS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "divide",
    ast.Mod: "divide",
    ast.Pow: "raise to a power",
}
_QUOTED_TYPE = re.compile(r"'(\w+)'|(?<=concatenate )(\w+)|\"(\w+)\"")
_COLLECTION_WORDS: Final[dict[type, tuple[str, str]]] = {
    str: ("text", "characters"),
    list: ("list", "items"),
    tuple: ("list", "items"),
}


def explain(
    error: BaseException, traceback: TracebackType | None, spelled: Mapping[str, str]
) -> str:
    """Say what failed, for an exception that left generated code; never raises.

    `traceback` is the entry of the generated function's frame, `spelled` maps names of its variables to the user's words:
    `{"event_3": "event"}`. The message names fields, types and rules, and never holds a value of the record.
    """
    try:
        return _explain(error, traceback, spelled)
    except Exception:  # an error report must not become an error
        return _unexplained(error)


def _explain(
    error: BaseException, traceback: TracebackType | None, spelled: Mapping[str, str]
) -> str:
    if isinstance(error, HeadraceError) and not isinstance(error, EvaluationError):
        return str(error)
    failure = failure_of(traceback, spelled) if traceback is not None else None
    if failure is None:
        return str(error) if isinstance(error, EvaluationError) else _unexplained(error)
    if isinstance(error, EvaluationError):
        if safe := safe_field_of(failure.node):
            kind = _kind(failure.value_of(safe[0]), [])
            return _not_a_map(failure, safe[0], f"no field '{safe[1]}'", kind)
        return f"{error} in {failure.spell()}"
    if isinstance(error, RecursionError | MemoryError):
        return f"the value is too large or nested too deeply in {failure.spell()}"
    return _of_node(error, failure) or f"{_unexplained(error)} in {failure.spell()}"


def _of_node(error: BaseException, failure: Failure) -> str | None:
    kinds = _kinds_in(error)
    if (
        isinstance(error, TypeError)
        and "iterable" in str(error)
        and not isinstance(failure.node, ast.Compare | ast.Call)
    ):
        return _not_iterable(failure, kinds)
    match failure.node:
        case ast.Subscript():
            return _of_subscript(error, failure, failure.node, kinds)
        case ast.Attribute():
            return _of_attribute(failure, failure.node, kinds)
        case ast.Compare():
            return _of_comparison(failure, failure.node, kinds)
        case ast.BinOp():
            return _of_operation(error, failure, failure.node, kinds)
        case ast.UnaryOp():
            return _of_sign(error, failure, failure.node, kinds)
        case ast.Call():
            return _of_call(error, failure, failure.node, kinds)
        case ast.JoinedStr() | ast.FormattedValue():
            return f"the format does not fit the value in {failure.spell()}"
        case ast.Dict() | ast.Set() | ast.DictComp() | ast.SetComp() if kinds:
            return f"{with_article(kinds[0])} cannot be a field's name or an element of a set in {failure.spell()}"
    return None


def _of_subscript(
    error: BaseException, failure: Failure, node: ast.Subscript, kinds: list[str]
) -> str | None:
    container = failure.value_of(node.value)
    name = failure.spell(node.value)
    if isinstance(error, IndexError):
        if type(container) not in _COLLECTION_WORDS:
            return f"{failure.spell()} is out of range"
        word, parts = _COLLECTION_WORDS[type(container)]
        count = len(container)
        return f"{failure.spell()} is out of range: the {word} has {count} {parts if count != 1 else parts[:-1]}"
    if isinstance(error, KeyError):
        if not isinstance(node.slice, ast.Constant):
            return f"{name} has no field with the name in {failure.spell(node.slice)}{_listed(container)}"
        field = node.slice.value
        return f"{name} has no field {field!r}{_listed(container)}{_closest(field, container)}"
    if not isinstance(error, TypeError):
        return None
    return _not_a_map(
        failure,
        node.value,
        _field_words(node.slice),
        _kind(container, _container_kinds(error, kinds)),
    )


def _of_attribute(failure: Failure, node: ast.Attribute, kinds: list[str]) -> str:
    kind = _kind(failure.value_of(node.value), kinds)
    call = failure.parent
    choice = failure.parents.get(call) if call is not None else None
    safe = safe_field_of(choice) if choice is not None else None
    if safe:
        return _not_a_map(failure, safe[0], f"no field '{safe[1]}'", kind)
    return (
        f"{failure.spell(node.value)} is {with_article(kind)}; .{node.attr}() is a method of text"
    )


def _of_comparison(failure: Failure, node: ast.Compare, kinds: list[str]) -> str | None:
    whole = failure.spell()
    if len(kinds) == 2 and not isinstance(node.ops[0], ast.In | ast.NotIn):
        return f"cannot compare {kinds[0]} with {kinds[1]} in {whole}"
    if isinstance(node.ops[0], ast.In | ast.NotIn):
        left, right = (
            _kind(failure.value_of(side), []) for side in (node.left, node.comparators[0])
        )
        if right == "text":
            return f"only text can be looked for in text, and not {with_article(left)}, in {whole}"
        if right in {"map", "set"}:
            return f"{with_article(left)} cannot be looked for in {with_article(right)} in {whole}"
        return f"nothing can be looked for in {with_article(_kind(UNKNOWN, kinds) if kinds else right)} in {whole}"
    return None


def _of_operation(
    error: BaseException, failure: Failure, node: ast.BinOp, kinds: list[str]
) -> str | None:
    whole = failure.spell(node)
    if isinstance(error, ZeroDivisionError):
        return f"division by zero in {whole}"
    if isinstance(error, OverflowError):
        return f"the number is too large in {whole}"
    left, right = (failure.value_of(side) for side in (node.left, node.right))
    if left is not UNKNOWN and right is not UNKNOWN:
        kinds = [kind_of(left), kind_of(right)]
    hint = ""
    if isinstance(node.op, ast.Mult) and "text" in kinds:
        hint = "; repeat(text, times) repeats text"
    elif isinstance(node.op, ast.Add) and "text" in kinds and "number" in kinds:
        hint = '; f"{a}{b}" joins them as text, int(text) makes a number'
    return f"cannot {_VERBS.get(type(node.op), 'combine')} {' and '.join(kinds) or 'these values'} in {whole}{hint}"


def _of_sign(
    error: BaseException, failure: Failure, node: ast.UnaryOp, kinds: list[str]
) -> str | None:
    parent = failure.parent
    if is_guard(node, parent) and isinstance(parent, ast.BinOp):
        return _of_operation(error, failure, parent, kinds)
    return f"cannot negate {' and '.join(kinds) or 'this value'} in {failure.spell()}"


def _of_call(
    error: BaseException, failure: Failure, node: ast.Call, kinds: list[str]
) -> str | None:
    match node.func:
        case ast.Attribute(value=ast.Name(id="hr_budget"), attr="over"):
            return _not_iterable(failure, kinds)
        case ast.Attribute(attr="get") if safe := safe_field_of(failure.parent or node):
            return _not_a_map(failure, safe[0], f"no field '{safe[1]}'", _kind(UNKNOWN, kinds))
        case ast.Attribute(attr=method) if isinstance(error, AttributeError):
            kind = _kind(failure.value_of(node.func.value), kinds)
            return f"{failure.spell(node.func.value)} is {with_article(kind)}; .{method}() is a method of text"
        case ast.Attribute(attr=method):
            return f".{method}() does not take {_arguments(failure, node)} in {failure.spell()}"
        case ast.Name(id="hr_format" | "hr_concatenated"):
            return f"the format does not fit the value in {failure.spell()}"
        case ast.Name(id="hr_power") if isinstance(error, ZeroDivisionError):
            return f"0 has no negative power in {failure.spell()}"
        case ast.Name(id="hr_power") if isinstance(error, OverflowError):
            return f"the number is too large in {failure.spell()}"
        case ast.Name(id="hr_power"):
            return f"cannot raise to a power {' and '.join(kinds)} in {failure.spell()}"
        case ast.Name(id=name):
            return _of_function(failure, node, name.removeprefix("hr_").removeprefix("builtin_"))
    return None


def _of_function(failure: Failure, node: ast.Call, name: str) -> str:
    listed = TABLE.get(name)
    rule = (listed.needs if listed else None) or f"{name} does not take these values"
    arguments = _arguments(failure, node)
    got = f", and got {arguments}" if arguments != "these values" else ""
    return f"{rule}{got} in {failure.spell()}"


def _arguments(failure: Failure, node: ast.Call) -> str:
    values = [failure.value_of(argument) for argument in node.args]
    if not values or any(value is UNKNOWN for value in values):
        return "these values"
    return " and ".join(with_article(kind_of(value)) for value in values)


def _not_iterable(failure: Failure, kinds: list[str]) -> str:
    node = failure.node
    match node:
        case ast.Call(args=[values, *_]):
            node = values
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            node = node.generators[-1].iter
    kind = _kind(failure.value_of(node), kinds)
    return f"{failure.spell(node)} is {with_article(kind)}, so a loop cannot go over it"


def _not_a_map(failure: Failure, container: ast.expr, field: str, kind: str) -> str:
    name = failure.spell(container)
    if kind == "null" and name == "event":
        return f"event is null (a tombstone), so it has {field}"
    hint = (
        f"; items are read by position: {name}[0]"
        if kind == "list" and field.startswith("no field")
        else ""
    )
    if kind == "map":
        return f"{name} is a map, and its fields have names that are text"
    if kind in {"list", "text"} and field == _ITEM:
        return f"{name} is {with_article(kind)}; its parts are read by position, which is a whole number"
    return f"{name} is {with_article(kind)}, so it has {field}{hint}"


def _field_words(index: ast.expr) -> str:
    if isinstance(index, ast.Constant) and isinstance(index.value, str):
        return f"no field {index.value!r}"
    return "no parts to slice" if isinstance(index, ast.Slice) else _ITEM


def _listed(container: Any) -> str:
    """The fields that a map has; names of fields may be told, values may not."""
    if type(container) is not dict:
        return ""
    if not container:
        return "; it is empty"
    names = [str(name)[:_FIELD_CHARACTERS] for name in list(container)[:_FIELDS_SHOWN]]
    more = len(container) - len(names)
    return f"; it has {', '.join(names)}" + (f", ... and {more} more" if more else "")


def _closest(field: Any, container: Any) -> str:
    if type(container) is not dict or not isinstance(field, str):
        return ""
    return did_you_mean(
        field, [name for name in list(container)[:_FIELDS_COMPARED] if isinstance(name, str)]
    )


def _kind(value: Any, kinds: list[str]) -> str:
    """The kind of a value, or where it could not be read the one that Python's own message names."""
    if value is not UNKNOWN:
        return kind_of(value)
    return kinds[0] if kinds else "a value of another kind"


def _kinds_in(error: BaseException) -> list[str]:
    """The types in the text of a TypeError or AttributeError: nothing else of that text is ever used."""
    if not isinstance(error, TypeError | AttributeError):
        return []
    found = (first or second or third for first, second, third in _QUOTED_TYPE.findall(str(error)))
    return [_TYPE_NAMES[name] for name in found if name in _TYPE_NAMES]


def _container_kinds(error: BaseException, kinds: list[str]) -> list[str]:
    """`list indices must be integers, not str` names the container without quotes, and first."""
    first = str(error).partition(" ")[0]
    return ["text"] if first == "string" else ["list"] if first in {"list", "tuple"} else kinds


def _unexplained(error: BaseException) -> str:
    return f"the expression failed with {type(error).__name__}"
