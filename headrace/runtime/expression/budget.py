"""How much one evaluation of a comprehension may do."""

from typing import Any

from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.limits import KEPT_UNITS_MAX, ROUNDS_MAX

_FREE = frozenset({int, float, bool, type(None)})


class Budget:
    """Counted down by the loops of one comprehension and of those inside it.

    Made by generated code at each evaluation; comprehensions whose work is bounded by the size of the record are emitted without.
    """

    __slots__ = ("_rounds", "_units")

    def __init__(self) -> None:
        self._rounds = ROUNDS_MAX
        self._units = KEPT_UNITS_MAX

    def over(self, values: Any) -> Any:
        """`values`, whose length is taken off the rounds that are left, before the first of them."""
        self._rounds -= len(values)
        if self._rounds < 0:
            raise EvaluationError(
                f"the loops of one expression go round at most {ROUNDS_MAX:,} times"
            )
        return values

    def keep(self, value: Any) -> Any:
        """`value`, which becomes part of the result; its size is taken off what may be built."""
        if type(value) in _FREE:
            return value
        self._take(value)
        return value

    def _take(self, value: Any) -> None:
        pending = [value]
        while pending:
            part = pending.pop()
            kind = type(part)
            if kind in _FREE:
                continue
            self._units -= len(part) + 1 if hasattr(part, "__len__") else 1
            if self._units < 0:
                raise EvaluationError(
                    f"a comprehension builds at most {KEPT_UNITS_MAX:,} characters and elements"
                )
            if kind is dict:
                pending.extend(part)
                pending.extend(part.values())
            elif kind in (list, tuple, set):
                pending.extend(part)
