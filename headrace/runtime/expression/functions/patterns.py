"""Regular expressions, by google-re2: the time they take grows with the text only, whatever the pattern."""

import functools
from typing import Any, Final

import re2

from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import (
    PATTERN_CHARACTERS_MAX,
    PATTERN_MEMORY_BYTES_MAX,
    RESULT_CHARACTERS_MAX,
)


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str, *, is_test: bool = False) -> Any:
    """The compiled pattern; compiled once per process. With `is_test` it finds no groups, which is faster.

    Raises:
        ValueError: google-re2 does not support the pattern; says which part of it.
    """
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise ValueError(f"a pattern has at most {PATTERN_CHARACTERS_MAX:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = is_test
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    try:
        return re2.compile(pattern, options)
    except (re2.error, ValueError) as error:
        reason = error.args[0] if error.args else "it is no regular expression"
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        hint = (
            "; lookaround and back references are not available, as they could take for ever"
            if "(?" in reason or "escape" in reason
            else ""
        )
        raise ValueError(f"google-re2 does not accept the pattern: {reason}{hint}") from error


def check_pattern(pattern: Any) -> None:
    """Refuse what is no pattern, when the flow is read."""
    if not isinstance(pattern, str):
        raise ValueError("a pattern is text")  # noqa: TRY004  # every check speaks through ValueError
    compiled(pattern)


def matches(text: Any, pattern: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    # Of text, google-re2 would count characters for positions that nobody asks for; bytes take half the time.
    return compiled(pattern, is_test=True).search(_encoded("matches", text)) is not None


def extract(text: Any, pattern: str, group: Any = None) -> str | None:
    """What the first match of the pattern, or one group of it, holds; null without a match.

    Without `group` it is the first group, or all of the match when the pattern has none.
    """
    expression = compiled(pattern)
    found = expression.search(_encoded("extract", text))
    if found is None:
        return None
    if group is None:
        group = 1 if expression.groups else 0
    known = expression.groupindex if isinstance(group, str) else range(expression.groups + 1)
    if group not in known:
        raise EvaluationError("extract needs a group that its pattern has")
    part: bytes | None = found.group(group)
    return None if part is None else part.decode("utf-8", "replace")


def replace_matches(text: Any, pattern: str, replacement: Any) -> str:
    r"""The text with every match replaced; the replacement stands for itself, without `\1`."""
    if type(replacement) is not str:
        raise refuse("replace_matches", "text in place of the matches", replacement)
    pieces: list[str] = []
    characters = end = 0
    for found in compiled(pattern).finditer(_text("replace_matches", text)):
        begin, after = found.span()
        pieces += (text[end:begin], replacement)
        characters += begin - end + len(replacement)
        end = after
        if characters > RESULT_CHARACTERS_MAX:
            raise EvaluationError(
                f"the result of replace_matches is longer than {RESULT_CHARACTERS_MAX:,} characters"
            )
    pieces.append(text[end:])
    return "".join(pieces)


def _encoded(name: str, text: Any) -> bytes:
    return _text(name, text).encode("utf-8", "replace")


def _text(name: str, text: Any) -> str:
    if type(text) is not str:
        raise refuse(name, "text", text)
    return text


_PATTERN: Final = {"pattern": check_pattern}

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("matches", matches, "boolean", literals=_PATTERN),
    function("extract", extract, literals=_PATTERN),
    function("replace_matches", replace_matches, "text", literals=_PATTERN),
)
