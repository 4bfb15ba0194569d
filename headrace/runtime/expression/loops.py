"""Comprehensions: emitted as they are where the record's size bounds their work, and with a budget where it does not.

A single loop that reads fields of its own elements does no more than the record is long. Loops in loops multiply, and an
element that holds something from outside of its loop, or something computed, takes new memory each time round; these go
through a `Budget`, which is bound to the variable `hr_budget` of the outermost comprehension and shared by all inside it.
"""

import ast
from typing import TYPE_CHECKING, Final

from headrace.runtime.expression.functions import TABLE
from headrace.runtime.expression.kinds import NUMERIC, SCALAR, kind
from headrace.runtime.expression.limits import FORMAT_WIDTH_MAX, LOOP_TEXT_CHARACTERS_MAX
from headrace.runtime.expression.methods import METHODS
from headrace.runtime.expression.precedence import Level
from headrace.runtime.expression.syntax import CONSTANTS

if TYPE_CHECKING:
    from headrace.runtime.expression.emit import Emitter

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
CONSTANT_TIME: Final = frozenset(
    {
        "len",
        "int",
        "float",
        "bool",
        "abs",
        "round",
        "floor",
        "ceil",
        "get",
        "has",
        "first",
        "last",
        "type_of",
        "coalesce",
    }
)

_OPERATIONS = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp, ast.List, ast.Dict)
_INLINE_FUNCTIONS: Final = frozenset(
    {function.name for function in TABLE.values() if function.method} | CONSTANT_TIME
)


class Loops:
    """Emits the comprehensions of one expression."""

    def __init__(self, emitter: "Emitter") -> None:
        self._emitter = emitter
        self._is_budgeted = False
        self._own: frozenset[str] = frozenset()

    def emit(self, node: Comprehension, *, is_kept: bool) -> str:
        """The source, without brackets for a generator."""
        outer = (self._is_budgeted, self._own)
        is_inner = self._is_budgeted
        self._own = (
            frozenset()
            if is_inner or len(node.generators) > 1
            else _names(node.generators[0].target)
        )
        self._is_budgeted = is_inner or not self._is_bounded(node, is_kept)
        try:
            clauses = [self._clause(generator) for generator in node.generators]
            if self._is_budgeted and not is_inner:
                clauses.insert(0, "for hr_budget in (hr_budget_of(),)")
            return _bracketed(node, self._element(node, is_kept), " ".join(clauses))
        finally:
            self._is_budgeted, self._own = outer

    def charges(self, node: ast.expr) -> bool:
        """Whether an operand is paid for: within loops that have a budget, where working on it takes longer the larger it is."""
        is_read = isinstance(node, ast.Name | ast.Attribute | ast.Subscript)
        return self._is_budgeted and is_read and not self._is_free(node)

    def _clause(self, generator: ast.comprehension) -> str:
        values = self._emitter.at(generator.iter, Level.OR)
        if self._is_budgeted:
            values = f"hr_budget.over({self._emitter.source(generator.iter)})"
        target = self._emitter.declare(generator.target)
        tests = "".join(f" if {self._emitter.at(test, Level.OR)}" for test in generator.ifs)
        return f"for {target} in {values}{tests}"

    def _element(self, node: Comprehension, is_kept: bool) -> str:
        part = self._kept if is_kept and self._is_budgeted else self._emitter.source
        if isinstance(node, ast.DictComp):
            return f"{part(node.key)}: {part(node.value)}"
        return part(node.elt)

    def _kept(self, node: ast.expr) -> str:
        """An element, or a part of one, that is charged for unless it takes no memory of its own."""
        if self._is_free(node):
            return self._emitter.source(node)
        if isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Set):
            return self._emitter.display(node, self._kept)
        return f"hr_budget.keep({self._emitter.source(node)})"

    def _is_bounded(self, node: Comprehension, is_kept: bool) -> bool:
        """Whether the loop's work and result are bounded by the size of what it goes over."""
        if len(node.generators) > 1:
            return False
        built = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return all(
            self._is_light(part) and (not is_kept or self._is_free(part)) for part in built
        ) and all(map(self._is_light, node.generators[0].ifs))

    def _is_light(self, node: ast.expr) -> bool:
        """Whether one evaluation takes no longer than reading the loop's own element does."""
        if self._is_own(node):
            return True
        parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, _OPERATIONS) and not _looks_for(node):
            return all(map(self._is_light, parts))
        return not any(_is_heavy(inner) for inner in ast.walk(node))

    def _is_free(self, node: ast.expr) -> bool:
        """Whether a part of the result is no larger than the loop's own element, or takes no memory at all."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(map(self._is_free, node.elts))
        if isinstance(node, ast.Dict):
            return all(self._is_free(part) for part in [*node.keys, *node.values] if part)
        if isinstance(node, ast.Constant) or kind(node) in SCALAR:
            return True
        if isinstance(node, _COMPREHENSIONS):
            return True  # charges for its own elements
        return self._is_own(node)

    def _is_own(self, node: ast.expr) -> bool:
        """Whether this reads the variables of a single loop and nothing else, with functions that lengthen nothing."""
        written = 0
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and not self._is_own_name(inner.id):
                return False
            if isinstance(inner, _COMPREHENSIONS) or (
                isinstance(inner, ast.BinOp) and _lengthens(inner)
            ):
                return False
            if isinstance(inner, ast.Call) and not _is_inline_method(inner):
                return False
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                written += len(inner.value)
            if isinstance(inner, ast.FormattedValue) and inner.format_spec is not None:
                written += FORMAT_WIDTH_MAX
        return written <= LOOP_TEXT_CHARACTERS_MAX

    def _is_own_name(self, name: str) -> bool:
        return (
            name in self._own
            or name in CONSTANTS
            or (bool(self._own) and name in _INLINE_FUNCTIONS)
        )


def _is_heavy(node: ast.AST) -> bool:
    """Whether one evaluation can take longer than a look at a field."""
    if isinstance(node, ast.Call):
        return not (isinstance(node.func, ast.Name) and node.func.id in CONSTANT_TIME)
    if isinstance(node, ast.In | ast.NotIn | ast.JoinedStr | ast.Slice):
        return True
    return isinstance(node, _COMPREHENSIONS)


def _looks_for(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) and any(
        isinstance(operator, ast.In | ast.NotIn) for operator in node.ops
    )


def _lengthens(node: ast.BinOp) -> bool:
    """Whether an operator can make more of its operands than both together."""
    return isinstance(node.op, ast.Pow | ast.Mult) and kind(node) not in NUMERIC


def _is_inline_method(node: ast.Call) -> bool:
    """Whether a call is emitted as the call of a method of text, which those that lengthen text are not."""
    if isinstance(node.func, ast.Attribute):
        return METHODS[node.func.attr].function is None
    return isinstance(node.func, ast.Name) and node.func.id in _INLINE_FUNCTIONS


def _names(target: ast.expr) -> frozenset[str]:
    return frozenset(name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _bracketed(node: Comprehension, element: str, clauses: str) -> str:
    if isinstance(node, ast.ListComp):
        return f"[{element} {clauses}]"
    if isinstance(node, ast.GeneratorExp):
        return f"{element} {clauses}"
    return f"{{{element} {clauses}}}"
