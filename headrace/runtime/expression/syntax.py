"""From text to a syntax tree: Python's own, with the size of what was written bounded before anything walks it."""

import ast
from typing import Final

from headrace.runtime.expression.errors import ExpressionError
from headrace.runtime.expression.limits import DEPTH_MAX, NODES_MAX, TEXT_CHARACTERS_MAX
from headrace.runtime.expression.scan import SAFE_MARK, rewrite

CONSTANTS: Final = {"true": True, "false": False, "null": None}

_WRAPPERS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


class Source:
    """The text of one expression and its tree; turns the tree's columns into offsets of the text."""

    def __init__(self, text: str) -> None:
        """Parse `text`, which has no space around it.

        Raises:
            ExpressionError: the text is no expression, or is too large.
        """
        self.text = text
        if not text:
            raise self.fail("an expression is needed here, and the text is empty")
        if len(text) > TEXT_CHARACTERS_MAX:
            raise self.fail(
                f"an expression has at most {TEXT_CHARACTERS_MAX:,} characters, and this has {len(text):,};"
                " several stages can share the work"
            )
        self._python = rewrite(text)
        self.tree = self._parse()
        self._check_size()

    def fail(self, message: str, at: ast.AST | int = 0) -> ExpressionError:
        """An error at a node of the tree or at an offset."""
        return ExpressionError(message, self.text, at if isinstance(at, int) else self.offset(at))

    def offset(self, node: ast.AST) -> int:
        """Where the node begins; Python counts the bytes of UTF-8, we count characters."""
        column = getattr(node, "col_offset", 0)
        return len(self._python.encode("utf-8", "replace")[:column].decode("utf-8", "ignore"))

    def _parse(self) -> ast.expr:
        try:
            return ast.parse(self._python, mode="eval").body
        except SyntaxError as error:
            raise self._syntax_error(error) from error
        except ValueError as error:
            raise self.fail("the text holds a character that no expression can hold") from error
        except (RecursionError, MemoryError) as error:
            raise self.fail(_too_deep()) from error

    def _syntax_error(self, error: SyntaxError) -> ExpressionError:
        said = error.msg.removeprefix("f-string: ")
        is_at_end = not error.offset or (error.lineno or 1) > 1
        offset = len(self.text) if is_at_end else (error.offset or 1) - 1
        if "too many nested" in said:
            return self.fail(_too_deep(), offset)
        if "must be parenthesized" in said:
            message = "a loop that is not the only argument goes into brackets: [x for x in ...]"
        elif "comma" in said:
            message = "an operator or a comma is missing after this value"
        elif "digits" in said and "limit" in said:
            message = "a number has at most 4,300 digits"
        elif said.startswith("invalid syntax") or "EOF" in said:
            is_over = offset >= len(self.text.rstrip())
            message = (
                "the expression ends too early"
                if is_over
                else f"'{_token(self.text, offset)}' is not expected here"
            )
        else:
            message = said[:1].lower() + said[1:]
        return self.fail(message, offset)

    def _check_size(self) -> None:
        nodes = 0
        pending: list[tuple[ast.AST, int]] = [(self.tree, 1)]
        while pending:
            node, depth = pending.pop()
            nodes += 1
            if nodes > NODES_MAX:
                raise self.fail(
                    f"an expression has at most {NODES_MAX:,} parts; split it over several stages"
                )
            if depth > DEPTH_MAX:
                raise self.fail(_too_deep(), node)
            pending.extend(
                (child, depth + 1)
                for child in ast.iter_child_nodes(node)
                if not isinstance(child, _WRAPPERS)
            )


def field_of(node: ast.Attribute) -> tuple[str, bool]:
    """The name of the field and whether it was written with `?.`."""
    if node.attr.startswith(SAFE_MARK):
        return node.attr[len(SAFE_MARK) :], True
    return node.attr, False


def path_of(node: ast.expr) -> tuple[str, ...] | None:
    """`results["my stage"].a` as its parts; None when the node is no chain of fields that begins with a name."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(field_of(node)[0])
            node = node.value
        elif isinstance(node, ast.Subscript) and is_text(node.slice):
            parts.append(node.slice.value)  # type: ignore[attr-defined]  # is_text saw the constant
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append("secret" if node.id == "secrets" else node.id)
            return tuple(reversed(parts))
        else:
            return None


def is_text(node: ast.expr) -> bool:
    """Whether the node is text written in quotes."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def literal_path(node: ast.expr) -> tuple[str, ...] | None:
    """The path that `get` and `has` take, when it is written out: `"a.b"` or `["a.b", "c"]`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return tuple(node.value.split("."))
    if isinstance(node, ast.List | ast.Tuple):
        parts = [part.value for part in node.elts if isinstance(part, ast.Constant)]
        if len(parts) == len(node.elts) and all(isinstance(part, str | int) for part in parts):
            return tuple(map(str, parts))
    return None


def _too_deep() -> str:
    return f"an expression is nested at most {DEPTH_MAX} levels deep; a stage with `set` can give a part of it a name"


def _token(text: str, offset: int) -> str:
    end = offset + 1
    if text[offset : offset + 1].isalnum():
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
    return text[offset:end]
