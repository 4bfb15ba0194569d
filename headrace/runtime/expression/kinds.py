"""What can be told about the type of a part of an expression without a record: just enough to leave guards out."""

import ast
from typing import Final

from headrace.runtime.expression.functions import TABLE
from headrace.runtime.expression.methods import METHODS
from headrace.runtime.expression.syntax import CONSTANTS

NUMERIC: Final = frozenset({"number", "float", "boolean"})
SCALAR: Final = NUMERIC | {"null"}


def kind(node: ast.expr) -> str | None:
    """One of number, float, boolean, text, list, map, set, null; None when it depends on the record.

    A kind holds if the evaluation succeeds: `-x` is a number, because it fails for everything else.
    """
    match node:
        case ast.Constant(value=value):
            return _of_constant(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return _of_constant(CONSTANTS[name])
        case ast.JoinedStr():
            return "text"
        case ast.List() | ast.ListComp() | ast.Tuple():
            return "list"
        case ast.Dict() | ast.DictComp():
            return "map"
        case ast.Set() | ast.SetComp():
            return "set"
        case ast.Compare():
            return "boolean"
        case ast.UnaryOp(op=op):
            return "boolean" if isinstance(op, ast.Not) else "number"
        case ast.BinOp():
            return _of_operation(node)
        case ast.BoolOp(values=values):
            return _shared([kind(value) for value in values])
        case ast.IfExp(body=body, orelse=orelse):
            return _shared([kind(body), kind(orelse)])
        case ast.Call():
            return _of_call(node)
    return None


def _of_constant(value: object) -> str | None:
    names: dict[type, str] = {
        bool: "boolean",
        int: "number",
        float: "float",
        str: "text",
        type(None): "null",
    }
    return names.get(type(value))


def _of_operation(node: ast.BinOp) -> str | None:
    left, right = kind(node.left), kind(node.right)
    if isinstance(node.op, ast.Add):
        if left in NUMERIC and right in NUMERIC:
            return "float" if "float" in (left, right) else "number"
        return next((found for found in (left, right) if found in {"text", "list"}), None)
    if isinstance(node.op, ast.Mult):
        repeated = next((found for found in (left, right) if found in {"text", "list"}), None)
        if repeated:
            return repeated
        return "float" if "float" in (left, right) else "number"
    if isinstance(node.op, ast.Div):
        return "float"
    if isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub):
        return "number" if left in NUMERIC and right in NUMERIC else None
    return "number"


def _of_call(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Name) and node.func.id in TABLE:
        return TABLE[node.func.id].kind
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        return METHODS[node.func.attr].kind
    return None


def _shared(kinds: list[str | None]) -> str | None:
    if len(set(kinds)) == 1:
        return kinds[0]
    return "number" if set(kinds) <= NUMERIC else None
