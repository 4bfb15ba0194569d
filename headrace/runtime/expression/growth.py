"""How often parts of the input can be repeated in what an expression builds.

Text and lists cannot be multiplied freely (see emit.py), but `s + s` doubles, and a chain of loops over one element,
`for a in [s + s] for b in [a + a]`, doubles without end. So growth is summed up over the tree, and a variable grows like
what it loops over. Without loops the sum stays near the number of nodes, so nobody meets the bound by writing at length.
"""

import ast
from collections.abc import Mapping

from headrace.runtime.expression.kinds import kind
from headrace.runtime.expression.limits import GROWTH_MAX, INLINE_EXPONENT_MAX

_CEILING = GROWTH_MAX * GROWTH_MAX  # keeps the numbers small while they are multiplied

Variables = Mapping[str, int]


def growth(node: ast.expr, variables: Variables) -> int:
    """At least 1; `variables` holds the growth of the loop variables in scope."""
    return min(_CEILING, max(1, _growth(node, variables)))


def _growth(node: ast.expr, variables: Variables) -> int:
    match node:
        case ast.Name(id=name):
            return variables.get(name, 1)
        case ast.Constant() | ast.Compare():
            return 1
        case ast.BinOp(left=left, right=right, op=op):
            if isinstance(op, ast.Pow):
                return growth(left, variables) * _exponent(right)
            return growth(left, variables) + growth(right, variables)
        case ast.FormattedValue(value=value):
            # Python spells a list or map with escapes, and escaping what was escaped doubles it.
            factor = 1 if kind(value) in {"text", "number", "float", "boolean"} else 2
            return growth(value, variables) * factor
        case ast.IfExp(body=body, orelse=orelse):
            return max(growth(body, variables), growth(orelse, variables))
        case ast.BoolOp(values=values):
            return max(growth(value, variables) for value in values)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return _of_comprehension(node, variables)
    return sum(
        growth(child, variables)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.expr)
    ) + sum(growth(keyword.value, variables) for keyword in getattr(node, "keywords", ()))


def scope_of(generators: list[ast.comprehension], variables: Variables) -> Variables:
    """The growth of variables inside of the loops."""
    inner = dict(variables)
    for generator in generators:
        repeated = growth(generator.iter, inner)
        for target in ast.walk(generator.target):
            if isinstance(target, ast.Name):
                inner[target.id] = repeated
    return inner


def _of_comprehension(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, variables: Variables
) -> int:
    inner = scope_of(node.generators, variables)
    built = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    tests = [test for generator in node.generators for test in generator.ifs]
    iterated = [growth(generator.iter, inner) for generator in node.generators]
    return max(
        sum(growth(part, inner) for part in built),
        *(growth(test, inner) for test in tests),
        *iterated,
    )


def _exponent(node: ast.expr) -> int:
    """Larger exponents, and those of the record, go through a function with a bound of its own."""
    if (
        isinstance(node, ast.Constant)
        and type(node.value) is int
        and node.value <= INLINE_EXPONENT_MAX
    ):
        return max(1, node.value)
    return 1
