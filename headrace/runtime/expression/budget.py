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
        """`value`, which becomes part of the result or is worked on; its size is taken off what may be built."""
        kind = type(value)
        if kind in _FREE:
            return value
        left = self._units - len(value) if kind is str else left_after(value, self._units)
        if left < 0:
            raise _too_much()
        self._units = left
        return value

    def search(self, values: Any) -> Any:
        """`values`, in which something is looked for one by one, unless they are a map or a set."""
        if type(values) in (list, tuple, str):
            self._units -= len(values)
            if self._units < 0:
                raise _too_much()
        return values


def left_after(value: Any, units: int) -> int:
    """What is left of `units` after one for each character, element and part of a value; counts no further than below 0."""
    pending = [value]
    while pending and units >= 0:
        part = pending.pop()
        kind = type(part)
        if kind in _FREE:
            units -= 1
        elif kind in (list, tuple, set):
            units -= len(part) + 1
            pending.extend(part)
        elif kind is dict:
            units -= len(part) + 1
            pending.extend(part)
            pending.extend(part.values())
        else:
            units -= 1 + (len(part) if kind in (str, bytes) else 0)
    return units


def _too_much() -> EvaluationError:
    return EvaluationError(
        f"a comprehension handles at most {KEPT_UNITS_MAX:,} characters and elements"
    )
