"""Functions of text, and the bounded twins of those methods of text that can make long text of short text."""

from typing import Any, Final

import orjson

from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import RESULT_CHARACTERS_MAX


def as_text(value: Any) -> str:
    """How a value reads inside of longer text in `${...}`: text and numbers as they are, everything else as compact JSON."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]  # the class was looked at
    if kind is int or kind is float:
        return str(value)
    return to_json(value)


def to_text(value: Any) -> str:
    """Python's str: `True`, `None`, and single quotes inside of lists."""
    return _bounded("str", str(value))


def to_json(value: Any) -> str:
    """Compact JSON."""
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=_plain)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise EvaluationError(
            "to_json needs null, booleans, numbers, text, lists and maps, nested at most 254 deep"
        ) from error
    if len(encoded) > 4 * RESULT_CHARACTERS_MAX:
        raise _too_long("to_json")
    return _bounded("to_json", encoded.decode())


def parse_json(text: Any) -> Any:
    """The value that JSON text stands for."""
    if type(text) not in (str, bytes):
        raise refuse("parse_json", "text", text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # Its own text may quote the payload, so only the place is told.
        raise EvaluationError(
            f"parse_json needs JSON; this text stops being JSON at character {error.pos}"
        ) from None


def join(values: Any, separator: Any = "") -> str:
    """The texts of a list, one after the other."""
    if type(separator) is not str:
        raise refuse("join", "text between the parts", separator)
    parts = values if type(values) is list else list(values)
    characters = len(separator) * len(parts)
    for part in parts:
        if type(part) is not str:
            raise refuse("join", "a list of texts", part)
        characters += len(part)
    if characters > RESULT_CHARACTERS_MAX:
        raise _too_long("join")
    return separator.join(parts)


def joined(separator: Any, values: Any) -> str:
    """`separator.join(values)`."""
    return join(values, separator)


def replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    """`text.replace(old, new, count)`, with the length of the result bounded."""
    if type(text) is not str or type(old) is not str or type(new) is not str:
        wrong = next(value for value in (text, old, new) if type(value) is not str)
        raise refuse("replace", "text", wrong)
    if type(count) is not int:
        raise refuse("replace", "a whole number", count)
    if len(new) > len(old):
        found = text.count(old)
        found = found if count < 0 else min(found, count)
        if len(text) + found * (len(new) - len(old)) > RESULT_CHARACTERS_MAX:
            raise _too_long("replace")
    return text.replace(old, new, count)


def zfill(text: Any, width: Any) -> str:
    """`text.zfill(width)`, with the width bounded."""
    return _padded("zfill", text, width).zfill(width)


def ljust(text: Any, width: Any, fill: str = " ") -> str:
    """`text.ljust(width, fill)`, with the width bounded."""
    return _padded("ljust", text, width).ljust(width, fill)


def rjust(text: Any, width: Any, fill: str = " ") -> str:
    """`text.rjust(width, fill)`, with the width bounded."""
    return _padded("rjust", text, width).rjust(width, fill)


def center(text: Any, width: Any, fill: str = " ") -> str:
    """`text.center(width, fill)`, with the width bounded."""
    return _padded("center", text, width).center(width, fill)


def concatenated(*parts: str) -> str:
    """The parts of an f-string whose source cannot be written as an f-string."""
    return "".join(parts)


def _padded(name: str, text: Any, width: Any) -> str:
    if type(text) is not str:
        raise refuse(name, "text", text)
    if type(width) is not int:
        raise refuse(name, "a whole number as its width", width)
    if width > RESULT_CHARACTERS_MAX:
        raise _too_long(name)
    return text


def _bounded(name: str, text: str) -> str:
    if len(text) > RESULT_CHARACTERS_MAX:
        raise _too_long(name)
    return text


def _too_long(name: str) -> EvaluationError:
    return EvaluationError(
        f"the result of {name} is longer than {RESULT_CHARACTERS_MAX:,} characters"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value, key=lambda element: (type(element).__name__, element))
    if isinstance(value, int):  # orjson writes 64 bits
        raise EvaluationError("JSON holds whole numbers of at most 64 bits")
    raise TypeError


_METHODS: Final = {
    "lower": "text",
    "upper": "text",
    "title": "text",
    "capitalize": "text",
    "strip": "text",
    "lstrip": "text",
    "rstrip": "text",
    "startswith": "boolean",
    "endswith": "boolean",
    "removeprefix": "text",
    "removesuffix": "text",
    "split": "list",
    "splitlines": "list",
    "find": "number",
}
_ARGUMENTS: Final = {
    "split": (1, 3),
    "lower": (1, 1),
    "upper": (1, 1),
    "title": (1, 1),
    "capitalize": (1, 1),
}
_ONE: Final = {"startswith", "endswith", "removeprefix", "removesuffix", "find"}

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("str", to_text, "text"),
    function("to_json", to_json, "text"),
    function("parse_json", parse_json),
    function("join", join, "text"),
    function("replace", replace, "text"),
    function("zfill", zfill, "text"),
    function("ljust", ljust, "text"),
    function("rjust", rjust, "text"),
    function("center", center, "text"),
    *(
        function(
            name,
            getattr(str, name),
            kind,
            arguments=(2, 2) if name in _ONE else _ARGUMENTS.get(name, (1, 2)),
            method=name,
        )
        for name, kind in _METHODS.items()
    ),
)
