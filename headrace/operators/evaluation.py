"""Expressions that a keyed action evaluates itself, on the record that it was given."""

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from headrace.runtime.contracts.action import KeyedContext
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import FUNCTIONS, Expression, explain
from headrace.runtime.expression.schema import expression_schema
from headrace.runtime.task.records import decode_key

RECORD_NAMES: Final = ("event", "key", "timestamp")
"""What is known of a record behind a repartition topic, where its trigger and its headers are not at hand."""

_LINES: Final = {
    "key": "    key = decode_key(context.key)",
    "timestamp": "    timestamp = context.timestamp_ms",
}
_SPELLED: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, init=False)
class RecordNames:
    """Limits an expression to the record's own names, and adds further ones: `Annotated[Expression, RecordNames("items")]`."""

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset((*RECORD_NAMES, *names)))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return expression_schema(Expression.parse, Expression, self.names)


RecordExpression = Annotated[Expression, RecordNames()]


class Evaluation:
    """An expression as a function of a record; `what` is the config key that messages begin with.

    It is called with the context, the event, and the values of the `extra` names in their order.
    """

    def __init__(self, expression: Expression, what: str, *extra: str) -> None:
        self._expression = expression
        self._what = what
        self._extra = extra
        self._function = _compiled(expression, extra)

    def __call__(self, context: KeyedContext, event: Any, *extra: Any) -> Any:
        """The value.

        Raises:
            RecordError: says why there is none, in the words of the expression.
        """
        try:
            return self._function(context, event, *extra)
        except Exception as error:
            frame = error.__traceback__.tb_next if error.__traceback__ else None
            raise RecordError(f"{self._what}: {explain(error, frame, _SPELLED)}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return (Evaluation, (self._expression, self._what, *self._extra))


def evaluation(expression: Expression | None, what: str, *extra: str) -> Evaluation | None:
    """An `Evaluation` where there is an expression."""
    return None if expression is None else Evaluation(expression, what, *extra)


@lru_cache(maxsize=1_024)
def _compiled(expression: Expression, extra: tuple[str, ...]) -> Callable[..., Any]:
    names = (*RECORD_NAMES, *extra)
    parameters = ", ".join(("context", "event", *extra))
    lines = [f"def evaluate({parameters}):"]
    lines += [line for name, line in _LINES.items() if name in expression.reads]
    lines.append(f"    return {expression.emit({name: name for name in names})}")
    source = "\n".join(lines) + "\n"
    file_name = f"<headrace expression ({parameters}) {expression.text}>"
    linecache.cache[file_name] = (len(source), None, source.splitlines(keepends=True), file_name)
    namespace: dict[str, Any] = {**FUNCTIONS, "__builtins__": {}, "decode_key": decode_key}
    exec(compile(source, file_name, "exec"), namespace)  # noqa: S102 # the checked expression, with no builtins
    function: Callable[..., Any] = namespace["evaluate"]
    return function
