"""Comprehensions: emitted as they are where the record's size bounds their work, and with a budget where it does not.

A single loop that reads fields of its own elements does no more than the record is long. Loops in loops multiply, and an
element that holds something from outside of its loop, or something computed, takes new memory each time round; these go
through a `Budget`, which is bound to the variable `hr_budget` of the outermost comprehension and shared by all inside it.
"""

import ast
from typing import TYPE_CHECKING, Final

from headrace.runtime.expression.kinds import SCALAR, kind
from headrace.runtime.expression.precedence import Level
from headrace.runtime.expression.syntax import CONSTANTS, path_of

if TYPE_CHECKING:
    from headrace.runtime.expression.emit import Emitter

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CHEAP: Final = frozenset({"len", "int", "float", "bool", "abs", "round"})


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
        if is_kept and not all(self._is_free_deep(part) for part in built):
            return False
        return not any(
            _is_heavy(inner)
            for part in [*built, *node.generators[0].ifs]
            for inner in ast.walk(part)
        )

    def _is_free_deep(self, node: ast.expr) -> bool:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(map(self._is_free_deep, node.elts))
        if isinstance(node, ast.Dict):
            return all(self._is_free_deep(part) for part in [*node.keys, *node.values] if part)
        return self._is_free(node)

    def _is_free(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant) or kind(node) in SCALAR:
            return True
        if isinstance(node, _COMPREHENSIONS):
            return True  # charges for its own elements
        path = path_of(node)
        return path is not None and (path[0] in self._own or path[0] in CONSTANTS)


def _is_heavy(node: ast.AST) -> bool:
    """Whether one evaluation can take longer than a look at a field."""
    if isinstance(node, ast.Call):
        return not (isinstance(node.func, ast.Name) and node.func.id in _CHEAP)
    if isinstance(node, ast.In | ast.NotIn | ast.JoinedStr | ast.Slice):
        return True
    return isinstance(node, _COMPREHENSIONS)


def _names(target: ast.expr) -> frozenset[str]:
    return frozenset(name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _bracketed(node: Comprehension, element: str, clauses: str) -> str:
    if isinstance(node, ast.ListComp):
        return f"[{element} {clauses}]"
    if isinstance(node, ast.GeneratorExp):
        return f"{element} {clauses}"
    return f"{{{element} {clauses}}}"
