"""From generated source back to the words of the person who wrote the expression, for messages."""

import ast
import copy
from collections.abc import Mapping
from typing import Any, Final

from headrace.runtime.expression.emit import VARIABLE_PREFIX
from headrace.runtime.expression.scan import SAFE_MARK

_SHOWN_CHARACTERS: Final = 100
_CALLS: Final = {"hr_get_at": "get", "hr_has_at": "has", "hr_builtin_round": "round"}
_OPERATORS: Final[dict[str, ast.operator]] = {"hr_repeat": ast.Mult(), "hr_power": ast.Pow()}


def spell(node: ast.AST, spelled: Mapping[str, str]) -> str:
    """The node as the user would have written it, shortened when it is long. `spelled` maps generated names to the user's."""
    rewritten = _Respeller(spelled).visit(copy.deepcopy(node))
    try:
        text = ast.unparse(rewritten).replace(f".{SAFE_MARK}", "?.")
    except ValueError:  # an f-string that Python 3.11 cannot write with the quotes that are left
        return "this expression"
    if len(text) > _SHOWN_CHARACTERS:
        return text[: _SHOWN_CHARACTERS - 3] + "..."
    return text


def safe_field_of(node: ast.AST) -> tuple[ast.expr, str] | None:
    """The value and the field, where the source is what `value?.field` was emitted as."""
    match node:
        case ast.IfExp(
            test=ast.Compare(left=value, ops=[ast.Is()]),
            body=ast.Constant(value=None),
            orelse=ast.Call(
                func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as field)]
            ),
        ):
            return value, field
        case ast.Call(
            func=ast.Name(id="hr_maybe"), args=[value, ast.Constant(value=str() as field)]
        ):
            return value, field
    return None


def is_guard(node: ast.AST, parent: ast.AST | None) -> bool:
    """Whether a plus sign is one that was emitted to keep text and lists from being repeated."""
    return (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.UAdd)
        and isinstance(parent, ast.BinOp)
        and isinstance(parent.op, ast.Mult | ast.Mod)
    )


class _Respeller(ast.NodeTransformer):
    """Undoes emit.py and loops.py. Owns the tree that it is given."""

    def __init__(self, spelled: Mapping[str, str]) -> None:
        self._spelled = spelled

    def _expression(self, node: ast.AST) -> ast.expr:
        rewritten: ast.expr = self.visit(node)
        return rewritten

    def visit(self, node: ast.AST) -> Any:
        if found := safe_field_of(node):
            value, field = found
            return ast.Attribute(self._expression(value), SAFE_MARK + field, ast.Load())
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = self._spelled.get(node.id) or node.id.removeprefix(VARIABLE_PREFIX)
        return ast.Name(name, node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        names = {True: "true", False: "false", None: "null"}
        if node.value is None or isinstance(node.value, bool):
            return ast.Name(names[node.value], ast.Load())
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value = self._expression(node.value)
        index = node.slice
        if (
            isinstance(index, ast.Constant)
            and isinstance(index.value, str)
            and index.value.isidentifier()
        ):
            return ast.Attribute(value, index.value, ast.Load())
        return ast.Subscript(value, self._expression(index), ast.Load())

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        left, right = (
            side.operand if is_guard(side, node) and isinstance(side, ast.UnaryOp) else side
            for side in (node.left, node.right)
        )
        return ast.BinOp(self._expression(left), node.op, self._expression(right))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node.func:
            case ast.Attribute(value=ast.Name(id="hr_budget"), attr="over" | "keep" | "search"):
                return self._expression(node.args[0])
            case ast.Name(id="hr_text" | "hr_format"):
                return self._expression(node.args[0])
            case ast.Name(id="hr_joined"):
                separator, values = map(self._expression, node.args)
                return ast.Call(ast.Attribute(separator, "join", ast.Load()), [values], [])
            case ast.Name(id=name) if name in _OPERATORS:
                left, right = map(self._expression, node.args)
                return ast.BinOp(left, _OPERATORS[name], right)
            case ast.Name(id=name) if name.startswith("hr_"):
                return self._function(node, _CALLS.get(name, name.removeprefix("hr_")))
        return self.generic_visit(node)

    def _function(self, node: ast.Call, name: str) -> ast.AST:
        arguments = list(node.args)
        if node.func.id in {"hr_get_at", "hr_has_at"} and isinstance(arguments[1], ast.Tuple):  # type: ignore[attr-defined]  # a name
            parts = [
                str(part.value) for part in arguments[1].elts if isinstance(part, ast.Constant)
            ]
            arguments[1] = ast.Constant(".".join(parts))
        keywords = [
            ast.keyword(keyword.arg, self._expression(keyword.value)) for keyword in node.keywords
        ]
        return ast.Call(
            ast.Name(name, ast.Load()),
            [self._expression(argument) for argument in arguments],
            keywords,
        )

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST | None:
        if isinstance(node.target, ast.Name) and node.target.id == "hr_budget":
            return None
        return self.generic_visit(node)
