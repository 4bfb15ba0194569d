"""The functions that expressions may call, and what generated code needs to call them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from headrace.runtime.expression.budget import Budget
from headrace.runtime.expression.functions import (
    arithmetic,
    codes,
    fields,
    lists,
    patterns,
    text,
    times,
)
from headrace.runtime.expression.functions.table import Function

TABLE: Final[Mapping[str, Function]] = MappingProxyType(
    {
        function.name: function
        for module in (lists, fields, arithmetic, text, patterns, times, codes)
        for function in module.FUNCTIONS
    }
)

FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **{function.emitted: function.call for function in TABLE.values() if not function.method},
        "hr_builtin_round": round,
        "hr_budget_of": Budget,
        "hr_concatenated": text.concatenated,
        "hr_format": format,
        "hr_get_at": fields.get_at,
        "hr_has_at": fields.has_at,
        "hr_joined": text.joined,
        "hr_maybe": fields.maybe,
        "hr_power": arithmetic.power,
        "hr_text": text.as_text,
    }
)
"""Put these into the globals of generated code: what `Expression.emit` returns refers to nothing else."""

ABSENT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("now", "today", "time", "utcnow", "current_timestamp"),
        "results must be the same when a record is processed again, so there is no wall clock;"
        " use `timestamp`, the record's time in ms",
    ),
    **dict.fromkeys(
        ("random", "rand", "randint", "choice", "shuffle", "uuid", "uuid1", "uuid4", "uuid7"),
        "results must be the same when a record is processed again, so there is no randomness;"
        " uuid5(name) and sha256(text) make identifiers of `run.id` or of the record",
    ),
    **dict.fromkeys(
        ("eval", "exec", "compile", "__import__", "open", "input", "globals", "locals", "vars"),
        "an expression only computes; Python code belongs into `map` with `call: package.module:function`",
    ),
    **dict.fromkeys(
        ("getattr", "setattr", "hasattr", "delattr", "dir"),
        'an expression reads fields: event.name, get(event, "name", default), has(event, "name")',
    ),
    **dict.fromkeys(("type", "isinstance"), 'write type_of(value) == "text"; see also `is null`'),
    "map": "write [x.name for x in event.values]",
    "filter": "write [x for x in event.values if x.is_new]",
    "set": "write unique(values)",
    "dict": "write {name: value for name, value in items(event)}",
    "tuple": "write list(values)",
    "format": 'write an f-string: f"{event.price:.2f}"',
    "print": "an expression only computes; the action `log` writes to the log",
    "next": "write first(values)",
    "iter": "write list(values)",
    "pow": "write a ** b",
    "divmod": "write a // b and a % b",
    "bytes": "text stays text; see base64_encode",
    "repr": "write str(value) or to_json(value)",
    "concat": "write a + b",
    "length": "write len(value)",
    "count": "write len(value), or sum(1 for x in event.values if x.is_new)",
    "if": "write x if condition else y",
    "trim": "write strip(text)",
    "date": 'write format_time(ms, "%Y-%m-%d")',
}
"""Functions that people look for, and what to do without them."""
