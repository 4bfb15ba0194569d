"""The formats of f-strings, `f"{event.price:.2f}"`: written out, and of bounded width."""

import ast
import re

from headrace.runtime.expression.limits import FORMAT_PRECISION_MAX, FORMAT_WIDTH_MAX
from headrace.runtime.expression.syntax import Source

_FORMAT = re.compile(
    r"(?:[^{}]?[<>=^])?[-+ ]?z?#?0?(?P<width>\d{0,6})[,_]?(?:\.(?P<precision>\d{1,6}))?[bcdeEfFgGnosxX%]?"
)


def format_of(node: ast.FormattedValue) -> str:
    """The format that was written after the colon; empty without one."""
    if node.format_spec is None:
        return ""
    assert isinstance(node.format_spec, ast.JoinedStr)  # what Python's parser makes of it
    return "".join(
        str(part.value) for part in node.format_spec.values if isinstance(part, ast.Constant)
    )


def check_format(node: ast.FormattedValue, source: Source) -> None:
    """Refuse formats that are not Python's for text and numbers, or that could write a book.

    Raises:
        ExpressionError: says the rule.
    """
    if node.conversion != -1:
        raise source.fail(
            "'!r', '!s' and '!a' are not available; use str(...) or to_json(...)", node
        )
    written = format_of(node)
    match = _FORMAT.fullmatch(written)
    if match is None:
        raise source.fail(
            f"'{written}' is no format; write for example {{event.price:.2f}}, {{event.name:>20}} or {{event.id:08d}}",
            node,
        )
    if int(match["width"] or 0) > FORMAT_WIDTH_MAX:
        raise source.fail(f"the width of a format is at most {FORMAT_WIDTH_MAX:,}", node)
    if int(match["precision"] or 0) > FORMAT_PRECISION_MAX:
        raise source.fail(f"the precision of a format is at most {FORMAT_PRECISION_MAX}", node)
