"""Expressions that an action evaluates itself, outside of the generated code of its flow."""

import hashlib
import linecache
from typing import Any, Final

from headrace.runtime.errors import RecordError
from headrace.runtime.expression.explain import explain
from headrace.runtime.expression.expression import Expression
from headrace.runtime.expression.functions import FUNCTIONS
from headrace.runtime.expression.template import Template

_SCHEME: Final = "<headrace computation {}>"


class Computation:
    """An expression or a template as a function of the names it may mention, in the order in which they are given.

    `field` is where the expression stands in the config, for messages.

    Raises:
        RecordError: the expression failed for these values; says why, in the words of the expression.
    """

    def __init__(self, field: str, expression: Expression | Template, *names: str) -> None:
        self.field = field
        self.expression = expression
        self._spelled = {name: name for name in names}
        source = f"def compute({', '.join(names)}):\n    return {expression.emit(self._spelled)}\n"
        # The same source has the same name, so that the cache of sources does not grow with every check of a flow.
        file_name = _SCHEME.format(hashlib.blake2b(source.encode(), digest_size=8).hexdigest())
        linecache.cache[file_name] = (
            len(source),
            None,
            source.splitlines(keepends=True),
            file_name,
        )
        scope: dict[str, Any] = {**FUNCTIONS, "__builtins__": {}}
        exec(compile(source, file_name, "exec"), scope)  # noqa: S102 - what Expression.emit wrote of a checked expression, without builtins
        self._compute = scope["compute"]

    def __call__(self, *values: Any) -> Any:
        try:
            return self._compute(*values)
        except Exception as error:
            traceback = error.__traceback__
            frame = traceback.tb_next if traceback is not None else None
            text = explain(error, frame, self._spelled)
            raise RecordError(f"{self.field}: {text}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return (Computation, (self.field, self.expression, *self._spelled))
