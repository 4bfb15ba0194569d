"""Expressions that a keyed action evaluates itself, on the record that it was given."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from headrace.runtime.contracts.action import KeyedContext
from headrace.runtime.expression import Expression
from headrace.runtime.expression.computation import Computation
from headrace.runtime.expression.schema import expression_schema
from headrace.runtime.task.records import decode_key

RECORD_NAMES: Final = ("event", "key", "timestamp")
"""What is known of a record behind a repartition topic, where its trigger and its headers are not at hand."""


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
        self._reads_key = "key" in expression.reads
        self._compute = Computation(what, expression, *RECORD_NAMES, *extra)

    def __call__(self, context: KeyedContext, event: Any, *extra: Any) -> Any:
        """The value.

        Raises:
            RecordError: says why there is none, in the words of the expression.
        """
        key = decode_key(context.key) if self._reads_key else None
        return self._compute(event, key, context.timestamp_ms, *extra)


def evaluation(expression: Expression | None, what: str, *extra: str) -> Evaluation | None:
    """An `Evaluation` where there is an expression."""
    return None if expression is None else Evaluation(expression, what, *extra)
