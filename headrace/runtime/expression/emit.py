"""From a checked tree to Python source that is as fast as what a person would write.

Fields become subscripts and operators stay operators. Guards exist only where a value could blow up, and cost no call where that
can be had: `a * b` becomes `+a * +b`, which is the same for numbers and fails for text and lists, so that nothing is repeated.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from headrace.runtime.expression.formats import format_of
from headrace.runtime.expression.functions import TABLE
from headrace.runtime.expression.kinds import NUMERIC, kind
from headrace.runtime.expression.limits import INLINE_EXPONENT_MAX
from headrace.runtime.expression.loops import CONSTANT_TIME, Comprehension, Loops
from headrace.runtime.expression.methods import METHODS
from headrace.runtime.expression.precedence import OPERATORS, Level, comparison_sign
from headrace.runtime.expression.syntax import CONSTANTS, field_of, literal_path, path_of

VARIABLE_PREFIX: Final = "v_"

_Emitted = tuple[str, Level]


def quote(value: object) -> str:
    """The source of a constant, with text in double quotes where that needs no escape."""
    source = repr(value)
    if source in {"inf", "-inf"}:
        return source.replace("inf", "1e999")
    if source.startswith("'") and '"' not in source and "\\'" not in source:
        return f'"{source[1:-1]}"'
    return source


class Emitter:
    """Emits one expression. `names` maps roots and dotted paths to the source that stands for them."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._variables: list[str] = []
        self._loops = Loops(self)

    def embeddable(self, node: ast.expr) -> str:
        """The source, in brackets unless it is a single operand."""
        return self.at(node, Level.OPERAND)

    def at(self, node: ast.expr, level: Level) -> str:
        """The source, in brackets when it binds less strongly than `level`."""
        source, own = self.emit(node)
        return source if own >= level else f"({source})"

    def source(self, node: ast.expr) -> str:
        """The source without brackets around it."""
        return self.emit(node)[0]

    def emit(self, node: ast.expr) -> _Emitted:
        match node:
            case ast.Constant(value=value):
                return _constant(value)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._access(node)
            case ast.BinOp():
                return self._operation(node)
            case ast.BoolOp(op=op, values=values):
                word, level = ("and", Level.AND) if isinstance(op, ast.And) else ("or", Level.OR)
                return f" {word} ".join(self.at(value, Level(level + 1)) for value in values), level
            case ast.UnaryOp():
                return self._unary(node)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                above = Level(Level.CHOICE + 1)
                return (
                    f"{self.at(body, above)} if {self.at(test, above)} else {self.at(orelse, Level.CHOICE)}",
                    Level.CHOICE,
                )
            case ast.Call():
                return self._call(node), Level.OPERAND
            case ast.JoinedStr():
                return self._formatted_text(node), Level.OPERAND
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self.comprehension(node), Level.OPERAND
        return self.display(node, self.source), Level.OPERAND

    def display(self, node: ast.expr, part: Callable[[ast.expr], str]) -> str:
        """A list, set or map as it is written, with its elements emitted by `part`."""
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return f"[{', '.join(part(element) for element in parts)}]"
            case ast.Set(elts=parts):
                return f"{{{', '.join(part(element) for element in parts)}}}"
        assert isinstance(node, ast.Dict)  # the checker lets nothing else through
        pairs = zip(node.keys, node.values, strict=True)
        return map_display((part(key), part(value)) for key, value in pairs if key)

    def comprehension(self, node: Comprehension, *, is_kept: bool = True) -> str:
        """A loop; `is_kept` is False where the caller looks at the elements and drops them."""
        before = len(self._variables)
        try:
            return self._loops.emit(node, is_kept=is_kept)
        finally:
            del self._variables[before:]

    def declare(self, target: ast.expr) -> str:
        """The source of a loop's target; its names are known from now on."""
        if isinstance(target, ast.Name):
            self._variables.append(target.id)
            return VARIABLE_PREFIX + target.id
        assert isinstance(target, ast.Tuple | ast.List)  # the checker lets nothing else through
        return f"({', '.join(self.declare(part) for part in target.elts)},)"

    def _access(self, node: ast.expr) -> _Emitted:
        if isinstance(node, ast.Name) and node.id in CONSTANTS:
            return _constant(CONSTANTS[node.id])
        if path := path_of(node):
            if path[0] in self._variables:
                if len(path) == 1:
                    return VARIABLE_PREFIX + path[0], Level.OPERAND
            elif ".".join(path) in self._names:
                return self._names[".".join(path)], Level.OPERAND
            elif len(path) == 1 or not self._is_covered(path):
                raise KeyError(".".join(path))
        if isinstance(node, ast.Attribute):
            name, is_safe = field_of(node)
            if is_safe:
                return self._safe_field(node.value, name)
            return f"{self.at(node.value, Level.OPERAND)}[{quote(name)}]", Level.OPERAND
        assert isinstance(node, ast.Subscript)  # names were handled above
        return f"{self.at(node.value, Level.OPERAND)}[{self._index(node.slice)}]", Level.OPERAND

    def _is_covered(self, path: tuple[str, ...]) -> bool:
        return any(".".join(path[:length]) in self._names for length in range(1, len(path)))

    def _safe_field(self, value: ast.expr, name: str) -> _Emitted:
        source = self.source(value)
        if source.isidentifier():
            return f"None if {source} is None else {source}.get({quote(name)})", Level.CHOICE
        return f"hr_maybe({source}, {quote(name)})", Level.OPERAND

    def _index(self, index: ast.expr) -> str:
        if not isinstance(index, ast.Slice):
            return self.source(index)
        lower = self.source(index.lower) if index.lower else ""
        upper = self.source(index.upper) if index.upper else ""
        return f"{lower}:{upper}" + (f":{self.source(index.step)}" if index.step else "")

    def _operation(self, node: ast.BinOp) -> _Emitted:
        sign, level = OPERATORS[type(node.op)]
        left, right = node.left, node.right
        if isinstance(node.op, ast.Pow):
            return self._power(left, right)
        if isinstance(node.op, ast.Mult):
            if kind(left) in _REPEATABLE or kind(right) in _REPEATABLE:
                return f"hr_repeat({self.source(left)}, {self.source(right)})", Level.OPERAND
            if "float" not in (kind(left), kind(right)):
                factor = Level(level + 1)
                return f"{self._number(left, level)} * {self._number(right, factor)}", level
        if isinstance(node.op, ast.Mod):
            return f"{self._number(left, level)} % {self.at(right, Level(level + 1))}", level
        return f"{self.at(left, level)} {sign} {self.at(right, Level(level + 1))}", level

    def _number(self, node: ast.expr, level: Level) -> str:
        """An operand that must not be text or a list: as it is when that is known, with a plus when it is not."""
        is_difference = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
        if kind(node) in NUMERIC or is_difference:
            return self.at(node, level)
        return f"+{self.at(node, Level.SIGN)}"

    def _power(self, left: ast.expr, right: ast.expr) -> _Emitted:
        exponent = (
            right.operand
            if isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub)
            else right
        )
        if (
            isinstance(exponent, ast.Constant)
            and type(exponent.value) is int
            and exponent.value <= INLINE_EXPONENT_MAX
        ):
            return f"{self.at(left, Level.OPERAND)} ** {self.at(right, Level.SIGN)}", Level.POWER
        return f"hr_power({self.source(left)}, {self.source(right)})", Level.OPERAND

    def _unary(self, node: ast.UnaryOp) -> _Emitted:
        if isinstance(node.op, ast.Not):
            return f"not {self.at(node.operand, Level.NOT)}", Level.NOT
        sign = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}[type(node.op)]
        return f"{sign}{self.at(node.operand, Level.SIGN)}", Level.SIGN

    def _compare(self, node: ast.Compare) -> _Emitted:
        above = Level(Level.COMPARISON + 1)
        parts = [self.at(node.left, above)]
        for operator, right in zip(node.ops, node.comparators, strict=True):
            source = self.at(right, above)
            if isinstance(operator, ast.In | ast.NotIn) and self._loops.charges(right):
                source = f"hr_budget.search({source})"
            parts += (comparison_sign(operator), source)
        return " ".join(parts), Level.COMPARISON

    def _call(self, node: ast.Call) -> str:
        if isinstance(node.func, ast.Attribute):
            return self._method(node.func.value, node.func.attr, node.args, node.keywords)
        assert isinstance(node.func, ast.Name)  # the checker lets nothing else through
        called = TABLE[node.func.id]
        if called.method:
            return self._method(node.args[0], called.method, node.args[1:], node.keywords)
        if len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.GeneratorExp):
            return (
                f"{called.emitted}({self.comprehension(node.args[0], is_kept=not called.consumes)})"
            )
        name = called.emitted
        arguments = [
            self._argument(argument, called.consumes, is_charged=called.name not in CONSTANT_TIME)
            for argument in node.args
        ]
        if called.name in {"get", "has"} and (path := literal_path(node.args[1])):
            name += "_at"
            arguments[1] = f"({', '.join(map(quote, path))},)"
        elif called.name == "round" and _is_small_digits(node.args):
            name = "hr_builtin_round"
        return f"{name}({', '.join(arguments + self._keywords(node.keywords))})"

    def _method(
        self, value: ast.expr, name: str, arguments: list[ast.expr], keywords: list[ast.keyword]
    ) -> str:
        written = [self._argument(argument) for argument in arguments]
        if name in {"startswith", "endswith"} and isinstance(arguments[0], ast.Tuple | ast.List):
            written[0] = f"({', '.join(map(self.source, arguments[0].elts))},)"
        written += self._keywords(keywords)
        guard = METHODS[name].function
        if guard:
            return f"{guard}({', '.join([self._argument(value), *written])})"
        receiver = (
            self._argument(value) if self._loops.charges(value) else self.at(value, Level.OPERAND)
        )
        return f"{receiver}.{name}({', '.join(written)})"

    def _argument(
        self, node: ast.expr, is_consumed: bool = False, *, is_charged: bool = True
    ) -> str:
        if isinstance(node, ast.GeneratorExp):
            return f"({self.comprehension(node, is_kept=not is_consumed)})"
        source = self.source(node)
        return f"hr_budget.keep({source})" if is_charged and self._loops.charges(node) else source

    def _keywords(self, keywords: list[ast.keyword]) -> list[str]:
        return [f"{keyword.arg}={self.source(keyword.value)}" for keyword in keywords]

    def _formatted_text(self, node: ast.JoinedStr) -> str:
        pieces: list[str | tuple[str, str]] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                pieces.append((self.source(part.value), format_of(part)))
            else:
                assert isinstance(part, ast.Constant)  # an f-string has no other parts
                pieces.append(str(part.value))
        return joined_text(pieces)


def map_display(pairs: Iterable[tuple[str, str]]) -> str:
    """The source of a map from the sources of its names and values."""
    return f"{{{', '.join(f'{name}: {value}' for name, value in pairs)}}}"


def joined_text(pieces: list[str | tuple[str, str]]) -> str:
    """The source of text made of pieces, which are text or (source, format): an f-string wherever that can be written."""
    values = [piece for piece in pieces if isinstance(piece, tuple)]
    if not values:
        return quote("".join(piece for piece in pieces if isinstance(piece, str)))
    sources = [source.replace('"', "'") for source, _ in values]
    # An f-string of Python 3.11 holds neither its own quotes nor a backslash within { }.
    is_plain = all(
        "\\" not in source and "#" not in source and "'" not in original
        for source, (original, _) in zip(sources, values, strict=True)
    )
    if not is_plain or any("\\" in written or '"' in written for _, written in values):
        return f"hr_concatenated({', '.join(map(_concatenated_piece, pieces))})"
    written = iter(sources)
    return f'f"{"".join(_formatted_piece(piece, written) for piece in pieces)}"'


def _concatenated_piece(piece: str | tuple[str, str]) -> str:
    if isinstance(piece, str):
        return quote(piece)
    return f"hr_format({piece[0]}, {quote(piece[1])})"


def _formatted_piece(piece: str | tuple[str, str], sources: Iterator[str]) -> str:
    if isinstance(piece, str):
        # The apostrophe in front makes repr quote with " or, where both occur, escape the apostrophes.
        written = repr("'" + piece)
        inside = (
            written[2:-1]
            if written[0] == '"'
            else written[3:-1].replace("\\'", "'").replace('"', '\\"')
        )
        return inside.replace("{", "{{").replace("}", "}}")
    source = next(sources)
    if source.startswith("{") or " " in source:
        source = f"({source})"
    return f"{{{source}{':' + piece[1] if piece[1] else ''}}}"


def _constant(value: object) -> _Emitted:
    return quote(value), Level.OPERAND


def _is_small_digits(arguments: list[ast.expr]) -> bool:
    """Whether round is called without a number of digits, or with one that is written out and small."""
    if len(arguments) == 1:
        return True
    digits = arguments[1]
    return isinstance(digits, ast.Constant) and type(digits.value) is int and digits.value < 100


_REPEATABLE: Final = frozenset({"text", "list"})
