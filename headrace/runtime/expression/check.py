"""Which expressions are accepted, and what an accepted one reads."""

import ast
from collections.abc import Iterable
from typing import Final

from headrace.runtime.expression.calls import check_call
from headrace.runtime.expression.errors import ExpressionError, did_you_mean
from headrace.runtime.expression.formats import check_format
from headrace.runtime.expression.functions import ABSENT, TABLE
from headrace.runtime.expression.growth import growth
from headrace.runtime.expression.limits import GROWTH_MAX, LOOPS_MAX
from headrace.runtime.expression.syntax import (
    CONSTANTS,
    Source,
    field_of,
    is_text,
    literal_path,
    path_of,
)

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_NAMED_ROOTS: Final = {
    "results": "results.<stage>",
    "env": "env.<NAME>",
    "secret": "secret.<NAME>",
}
_REFUSED: Final[dict[type[ast.AST], str]] = {
    ast.Lambda: "an expression cannot define a function; use a comprehension: [x.name for x in event.values]",
    ast.NamedExpr: "an expression cannot assign; a stage with `set` can give a value a name",
    ast.Await: "an expression cannot wait; a stage of its own can, such as `http` or `hydrate`",
    ast.Yield: "an expression is one value; `map` with `each` makes several records of one",
    ast.YieldFrom: "an expression is one value; `map` with `each` makes several records of one",
    ast.Starred: "write first + second to join lists, and merge(first, second) to join maps",
    ast.GeneratorExp: "a loop without brackets is for functions that take a list; write [x for x in ...]",
}
_WITHOUT_INDEX = (ast.Constant, ast.Set, ast.SetComp)
_WITHOUT_FIELDS = (*_WITHOUT_INDEX, ast.List, ast.Tuple, ast.ListComp, ast.JoinedStr)
_REFUSED_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.MatMult: "there is no '@'",
    ast.LShift: "there is no '<<'; multiply by 2 ** n",
}


class Checker:
    """Walks a tree once; afterwards its sets tell what the expression reads."""

    def __init__(self, source: Source, names: Iterable[str]) -> None:
        self.source = source
        self.names = frozenset(names)
        self.reads: set[str] = set()
        self.named: dict[str, set[str]] = {root: set() for root in _NAMED_ROOTS}
        self.event_fields: set[str] = set()
        self.is_event_whole = False
        self._variables: list[str] = []
        self._loops = 0

    def run(self) -> None:
        """Check everything.

        Raises:
            ExpressionError: the first thing that is not accepted, with what to write in its place.
        """
        self.visit(self.source.tree)
        if growth(self.source.tree, {}) > GROWTH_MAX:
            raise self.fail(
                f"the loops repeat parts of their input more than {GROWTH_MAX:,} times over",
                self.source.tree,
            )

    def fail(self, message: str, node: ast.AST) -> ExpressionError:
        return self.source.fail(message, node)

    def visit(self, node: ast.expr) -> None:
        match node:
            case ast.Name():
                self._name(node)
            case ast.Constant():
                self._constant(node)
            case ast.Attribute() | ast.Subscript():
                self._access(node)
            case ast.Call():
                self._call(node)
            case ast.Compare():
                self._compare(node)
            case ast.BinOp():
                self._operation(node)
            case ast.JoinedStr(values=values):
                for value in values:
                    if isinstance(value, ast.FormattedValue):
                        self.visit(value.value)
                        check_format(value, self.source)
            case ast.Dict(keys=keys, values=values):
                if None in keys:
                    raise self.fail("write merge(first, second) to join maps", node)
                self._visit_all([key for key in keys if key is not None] + values)
            case ast.ListComp() | ast.SetComp() | ast.DictComp():
                self._comprehension(node)
            case ast.BoolOp() | ast.UnaryOp() | ast.IfExp() | ast.List() | ast.Tuple() | ast.Set():
                self._visit_all(
                    child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
                )
            case _:
                message = _REFUSED.get(
                    type(node), "this has no place in an expression, which is one value"
                )
                raise self.fail(message, node)

    def visit_argument(self, node: ast.expr) -> None:
        """Visit an argument of a listed function, which may be a loop without brackets."""
        if isinstance(node, ast.GeneratorExp):
            self._comprehension(node)
        else:
            self.visit(node)

    def read(self, path: tuple[str, ...], node: ast.expr) -> None:
        """Note what a chain of fields reads."""
        root = path[0]
        if root in self._variables:
            return
        if root in CONSTANTS or root not in self.names:
            raise self.fail(self._unknown(root), node)
        self.reads.add(root)
        if root in _NAMED_ROOTS:
            if len(path) == 1:
                raise self.fail(
                    f"'{root}' is used with a name that is written out: {_NAMED_ROOTS[root]}", node
                )
            self.named[root].add(path[1])
        elif root == "event" and len(path) == 1:
            self.is_event_whole = True
        elif root == "event":
            self.event_fields.add(path[1])

    def _visit_all(self, nodes: Iterable[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name in CONSTANTS:
            return
        if name in TABLE and name not in self._variables and name not in self.names:
            raise self.fail(f"'{name}' is a function; call it: {name}(...)", node)
        path = path_of(node)
        assert path is not None  # a name is a path
        self.read(path, node)

    def _unknown(self, name: str) -> str:
        known = [*self.names, *self._variables, *CONSTANTS]
        if name.startswith("__"):
            return (
                f"'{name}' is no name of an expression; there are {', '.join(sorted(self.names))}"
            )
        if suggestion := did_you_mean(name, known):
            return f"unknown name '{name}'{suggestion}"
        if name in ABSENT:
            return ABSENT[name]
        return f"unknown name '{name}'; text needs quotes: '{name}'"

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, complex):
            raise self.fail("there are no imaginary numbers", node)
        if node.value is Ellipsis:
            raise self.fail("'...' stands for nothing here; write the value", node)
        if isinstance(node.value, bytes):
            raise self.fail("there are no bytes in expressions; leave the 'b' out", node)
        if isinstance(node.value, str):
            try:
                node.value.encode()
            except UnicodeEncodeError as error:
                raise self.fail(
                    "the text holds half a character (a lone surrogate)", node
                ) from error

    def _access(self, node: ast.Attribute | ast.Subscript) -> None:
        self._check_links(node)
        if not _can_have(node.value, node):
            raise self.fail("a value that is written out here has no such part", node)
        path = path_of(node)
        if path and path[0] not in CONSTANTS:
            self.read(path, node)
            return
        self.visit(node.value)
        if isinstance(node, ast.Subscript) and not is_text(node.slice):
            self._subscript(node.slice)

    def _check_links(self, node: ast.Attribute | ast.Subscript) -> None:
        """Check the names of fields along a chain, of which only this link was not looked at yet."""
        link: ast.expr = node
        while isinstance(link, ast.Attribute | ast.Subscript):
            if isinstance(link, ast.Attribute):
                name, _ = field_of(link)
                if name.startswith("__") and name.endswith("__"):
                    raise self.fail(
                        f"'.{name}' is no field that can be read this way; a field of that name is written"
                        f' ["{name}"]',
                        link,
                    )
            link = link.value

    def _subscript(self, index: ast.expr) -> None:
        if isinstance(index, ast.Slice):
            self._visit_all(
                part for part in (index.lower, index.upper, index.step) if part is not None
            )
        elif isinstance(index, ast.Tuple):
            raise self.fail("one index goes into [ ]; write event.rows[0][1]", index)
        else:
            self.visit(index)

    def _compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.Is | ast.IsNot) and not _is_null(right):
                word, sign = ("is", "==") if isinstance(operator, ast.Is) else ("is not", "!=")
                raise self.fail(f"'{word}' is for null only; use '{sign}' to compare", right)
            if isinstance(operator, ast.Is | ast.IsNot) and isinstance(
                left, ast.Constant | ast.JoinedStr
            ):
                raise self.fail("a value that is written out is never null, or always", left)
            is_presence = isinstance(operator, ast.In | ast.NotIn) and is_text(left)
            if is_presence and path_of(right) == ("event",):
                self.event_fields.add(left.value)  # type: ignore[attr-defined]  # is_text saw the constant
                self._read_presence(right)
            else:
                self.visit(right)
            left = right

    def _read_presence(self, node: ast.expr) -> None:
        """`"a" in event` reads the field a and nothing else."""
        was_whole = self.is_event_whole
        self.visit(node)
        self.is_event_whole = was_whole

    def _operation(self, node: ast.BinOp) -> None:
        if message := _REFUSED_OPERATORS.get(type(node.op)):
            raise self.fail(message, node)
        if isinstance(node.op, ast.Mod) and (
            is_text(node.left) or isinstance(node.left, ast.JoinedStr)
        ):
            raise self.fail('text is filled in with an f-string: f"{event.price:.2f}"', node)
        self._visit_all((node.left, node.right))

    def _call(self, node: ast.Call) -> None:
        check_call(node, self.source)
        if isinstance(node.func, ast.Attribute):
            self.visit(node.func.value)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        is_lookup = isinstance(node.func, ast.Name) and node.func.id in {"get", "has", "pick"}
        if is_lookup and path_of(arguments[0]) == ("event",):
            fields = self._looked_up(node)
            if fields is not None:
                self.event_fields.update(fields)
                self._read_presence(arguments.pop(0))
        for argument in arguments:
            self.visit_argument(argument)

    def _looked_up(self, node: ast.Call) -> list[str] | None:
        """The fields of event that get, has or pick read; None when they depend on the record."""
        assert isinstance(node.func, ast.Name)  # a listed function
        if node.func.id == "pick":
            names = [
                argument.value for argument in node.args[1:] if isinstance(argument, ast.Constant)
            ]
            is_written = len(names) == len(node.args) - 1 and all(
                isinstance(name, str) for name in names
            )
            return list(map(str, names)) if is_written else None
        path = literal_path(node.args[1]) if len(node.args) > 1 else None
        return [path[0]] if path else None

    def _comprehension(self, node: Comprehension) -> None:
        outer = len(self._variables)
        for generator in node.generators:
            self._loops += 1
            if self._loops > LOOPS_MAX:
                raise self.fail(f"an expression has at most {LOOPS_MAX} loops", node)
            if generator.is_async:
                raise self.fail("an expression cannot wait; write 'for' without 'async'", node)
            self.visit(generator.iter)
            self._targets(generator.target)
            self._visit_all(generator.ifs)
        if isinstance(node, ast.DictComp):
            self._visit_all((node.key, node.value))
        else:
            self.visit(node.elt)
        del self._variables[outer:]

    def _targets(self, target: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                if (
                    name in self.names
                    or name in TABLE
                    or name in CONSTANTS
                    or name in self._variables
                ):
                    raise self.fail(f"the name '{name}' is taken; loop with another one", target)
                if name.startswith("__"):
                    raise self.fail("the name of a loop variable does not begin with '__'", target)
                self._variables.append(name)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._targets(part)
            case _:
                raise self.fail(
                    "a loop gives names: for x in ..., or for name, value in ...", target
                )


def _can_have(value: ast.expr, part: ast.Attribute | ast.Subscript) -> bool:
    """Whether what is written out can have a field or an item; Python warns where generated code asks a number for one."""
    if isinstance(value, ast.Name):
        return value.id not in CONSTANTS
    if isinstance(part, ast.Attribute) or is_text(part.slice):
        return not isinstance(value, _WITHOUT_FIELDS)
    return is_text(value) or not isinstance(value, _WITHOUT_INDEX)


def _is_null(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or (
        isinstance(node, ast.Name) and node.id == "null"
    )
