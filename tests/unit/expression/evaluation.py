"""Compiles expressions the way generated code holds them: inside a function, with nothing but `FUNCTIONS` for globals."""

import itertools
import linecache
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from headrace.runtime.expression import FUNCTIONS, NAMES, Expression, Template, explain

SOURCES = {
    "event": "event_3",
    "key": "key",
    "headers": "headers",
    "timestamp": "timestamp",
    "results.big": "result_2",
    "run.id": "run_id",
    "env.HOME": "env_HOME",
    "secret.TOKEN": "secret_0",
}
SPELLED = {"event_3": "event", "result_2": "results.big", "run_id": "run.id"}
_PARAMETERS = "event_3, result_2, key, headers, timestamp, run_id, env_HOME, secret_0"
_numbers = itertools.count()


def emitted(text: str) -> str:
    """The source of an expression, under the names of generated code."""
    return Expression.parse(text).emit(SOURCES)


def run(source: str, event: Any = None, result: Any = None) -> Any:
    """Evaluate emitted source in a function that is registered with linecache, as the planner does."""
    filename = f"<flow {next(_numbers)}>"
    code = f"def stage({_PARAMETERS}):\n    value = {source}\n    return value\n"
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    names: dict[str, Any] = {**FUNCTIONS, "__builtins__": {}}
    exec(compile(code, filename, "exec"), names)  # what generated code is
    return names["stage"](
        event, result, "the key", {}, 1_714_564_800_000, "orders-0-7", "/home", "s3cret"
    )


def evaluate(
    text: str, event: Any = None, result: Any = None, names: frozenset[str] = NAMES
) -> Any:
    """The value of an expression for an event."""
    return run(Expression.parse(text, names).emit(SOURCES), event, result)


def fill(value: Any, event: Any = None) -> Any:
    """The value of a template for an event."""
    return run(Template.parse(value).emit(SOURCES), event)


def explained(
    text: str, event: Any = None, result: Any = None, spelled: Mapping[str, str] = SPELLED
) -> str:
    """What is said of an expression that fails for this event."""
    try:
        value = evaluate(text, event, result)
    except Exception as error:
        return explain(error, stage_frame(error), spelled)
    raise AssertionError(f"{text} did not fail, its value is {value!r}")


def stage_frame(error: BaseException) -> TracebackType | None:
    """The entry of the generated function in a traceback."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_name != "stage":
        traceback = traceback.tb_next
    return traceback
