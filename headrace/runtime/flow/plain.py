"""Python values to what a document can hold, so that a flow made in Python has no other powers."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from headrace.runtime.duration import format_duration
from headrace.runtime.flow.document import INTEGER_MAX, INTEGER_MIN, NESTING_MAX
from headrace.runtime.flow.explanation import Finding
from headrace.runtime.flow.places import Path

_ALLOWED: Final = "must be text, a number within bounds, true, false, a list or a mapping"


def plain(value: Any, path: Path, findings: list[Finding]) -> Any:
    """A copy of a value made of dict, list, str, int, float, bool and None.

    Tuples become lists and durations text. What a document cannot hold is noted in `findings` with
    its path and left out.
    """
    if len(path) > NESTING_MAX:
        findings.append(Finding(path[:4], f"is nested deeper than {NESTING_MAX} levels"))
        return None
    if isinstance(value, Mapping):
        entries = {}
        for key, entry in value.items():
            if not isinstance(key, str):
                findings.append(Finding(path, f"must have text for keys, found {key!r}"))
            else:
                entries[_text(key, path, findings)] = plain(entry, (*path, key), findings)
        return entries
    if isinstance(value, list | tuple):
        return [plain(item, (*path, index), findings) for index, item in enumerate(value)]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, str):
        return _text(value, path, findings)
    if value is None or isinstance(value, bool):
        return value
    return _number(value, path, findings)


def _text(text: str, path: Path, findings: list[Finding]) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        findings.append(Finding(path, "holds half of a surrogate pair"))
    return str(text)


def _number(value: Any, path: Path, findings: list[Finding]) -> Any:
    if isinstance(value, int) and INTEGER_MIN <= value <= INTEGER_MAX:
        return int(value)
    if isinstance(value, float) and value - value == 0:  # neither NaN nor infinite
        return float(value)
    kind = f"{value}" if isinstance(value, int | float) else type(value).__name__
    findings.append(Finding(path, f"{_ALLOWED}, found {kind}"))
    return None
