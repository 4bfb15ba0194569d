"""Where generated code failed: the node of its source, and what can be read of its values without running anything."""

import ast
import functools
import itertools
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Final

from headrace.runtime.expression.spell import safe_field_of, spell

UNKNOWN: Final = object()

_Place = tuple[int, int, int, int]
_INDEXABLE: Final = (dict, list, tuple, str)
_PLAIN: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Failure:
    """The innermost frame of generated code, and the node of its source that failed there."""

    node: ast.AST
    parents: Mapping[ast.AST, ast.AST]
    frame: FrameType
    spelled: Mapping[str, str]

    @property
    def parent(self) -> ast.AST | None:
        return self.parents.get(self.node)

    def spell(self, node: ast.AST | None = None) -> str:
        """The failing node, or another, in the user's words."""
        return spell(self.node if node is None else node, self.spelled)

    def value_of(self, node: ast.AST) -> Any:
        """The value of a chain of names, subscripts and constants; `UNKNOWN` for everything else. Calls nothing of the user's."""
        if safe := safe_field_of(node):
            value = self.value_of(safe[0])
            return value.get(safe[1]) if type(value) is dict else None if value is None else UNKNOWN
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.frame.f_locals.get(name, self.frame.f_globals.get(name, UNKNOWN))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value_of(operand)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="hr_budget")), args=[value]):
                return self.value_of(value)
            case ast.Subscript(value=value, slice=index):
                return self._element(self.value_of(value), self.value_of(index))
        return UNKNOWN

    def _element(self, value: Any, index: Any) -> Any:
        if type(value) not in _INDEXABLE or type(index) not in _PLAIN:
            return UNKNOWN
        try:
            return value[index]
        except (KeyError, IndexError, TypeError):
            return UNKNOWN


def failure_of(traceback: TracebackType, spelled: Mapping[str, str]) -> Failure | None:
    """Find the failing node; None where Python did not keep positions, or the source is not in `linecache`."""
    entry = traceback
    filename = traceback.tb_frame.f_code.co_filename
    following = traceback.tb_next
    while following is not None:  # comprehensions are frames of their own in Python 3.11
        if following.tb_frame.f_code.co_filename == filename:
            entry = following
        following = following.tb_next
    place = _place(entry)
    lines = linecache.getlines(filename, entry.tb_frame.f_globals)
    if place is None or not lines:
        return None
    nodes, parents = _index("".join(lines))
    node = nodes.get(place)
    return Failure(node, parents, entry.tb_frame, spelled) if node is not None else None


def _place(entry: TracebackType) -> _Place | None:
    positions = entry.tb_frame.f_code.co_positions()
    found = next(itertools.islice(positions, entry.tb_lasti // 2, None), None)
    if found is None:
        return None
    line, end_line, column, end_column = found
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return line, end_line, column, end_column


@functools.lru_cache(maxsize=64)
def _index(source: str) -> tuple[dict[_Place, ast.AST], dict[ast.AST, ast.AST]]:
    """The expressions of a source by their place, and the parent of every node; a stream of failing records parses it once."""
    nodes: dict[_Place, ast.AST] = {}
    parents: dict[ast.AST, ast.AST] = {}
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            parents[child] = node
        if (
            isinstance(node, ast.expr)
            and node.end_lineno is not None
            and node.end_col_offset is not None
        ):
            # The first to take a place is the outermost: parts of an f-string share the place of all of it in Python 3.11.
            nodes.setdefault(
                (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset), node
            )
    return nodes, parents
