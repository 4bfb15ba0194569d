"""The methods of text that an expression may call, `event.name.lower()`.

Emitted as calls of Python's own methods, but for those that can make long text of short text: they go through bounded
functions.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Method(NamedTuple):
    """`least` and `most` arguments; `function` names the listed function that takes the place of Python's method."""

    least: int
    most: int
    kind: str
    function: str | None = None
    keywords: frozenset[str] = frozenset()


_QUESTIONS = (
    "isdigit",
    "isalpha",
    "isalnum",
    "isnumeric",
    "isdecimal",
    "isspace",
    "isupper",
    "islower",
    "istitle",
    "isascii",
)
_LIMIT = frozenset({"maxsplit", "sep"})

METHODS: Final[Mapping[str, Method]] = {
    **{
        name: Method(0, 0, "text")
        for name in ("lower", "upper", "title", "capitalize", "casefold", "swapcase")
    },
    **{name: Method(0, 1, "text") for name in ("strip", "lstrip", "rstrip")},
    **{name: Method(1, 3, "boolean") for name in ("startswith", "endswith")},
    **{name: Method(1, 3, "number") for name in ("find", "rfind", "count")},
    **{name: Method(1, 1, "text") for name in ("removeprefix", "removesuffix")},
    **{name: Method(1, 1, "list") for name in ("partition", "rpartition")},
    **{name: Method(0, 2, "list", None, _LIMIT) for name in ("split", "rsplit")},
    "splitlines": Method(0, 0, "list"),
    **{name: Method(0, 0, "boolean") for name in _QUESTIONS},
    "replace": Method(2, 3, "text", "hr_replace"),
    "join": Method(1, 1, "text", "hr_joined"),
    "zfill": Method(1, 1, "text", "hr_zfill"),
    "ljust": Method(1, 2, "text", "hr_ljust"),
    "rjust": Method(1, 2, "text", "hr_rjust"),
    "center": Method(1, 2, "text", "hr_center"),
}

REFUSED: Final[Mapping[str, str]] = {
    "format": 'write an f-string: f"{event.name}"',
    "format_map": 'write an f-string: f"{event.name}"',
    "translate": "use .replace(old, new)",
    "maketrans": "use .replace(old, new)",
    "encode": "text stays text; see base64_encode, url_encode and sha256",
    "decode": "use base64_decode or url_decode",
    "expandtabs": "use .replace(old, new)",
    "index": "use .find(text), which is -1 where nothing is found",
    "rindex": "use .rfind(text), which is -1 where nothing is found",
    "get": 'write get(event, "name", default)',
    "keys": "write keys(event)",
    "values": "write values(event)",
    "items": "write items(event)",
    "copy": "values never change here, so nothing needs a copy",
    "sort": "write sorted(values)",
    "reverse": "write reversed(values)",
    "append": "values never change here; write values + [value]",
    "extend": "values never change here; write values + others",
    "update": "values never change here; write merge(first, second)",
    "pop": "values never change here; see first, last and omit",
    "length": "write len(value)",
    "size": "write len(value)",
    "toLowerCase": "write .lower()",
    "toUpperCase": "write .upper()",
    "trim": "write .strip()",
    "startsWith": "write .startswith(text)",
    "endsWith": "write .endswith(text)",
    "includes": "write `value in event.values`",
    "contains": "write `value in event.values`",
    "toString": "write str(value)",
    "map": "write [x.name for x in event.values]",
    "filter": "write [x for x in event.values if x.is_new]",
    "match": 'write matches(text, "pattern")',
    "test": 'write matches(text, "pattern")',
}
