"""Functions of lists."""

import math
from typing import Any, Final

from headrace.runtime.expression.errors import EvaluationError, kind_of
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import RESULT_ELEMENTS_MAX


def as_list(values: Any) -> list[Any]:
    """The elements of a list, a set or text, or the names of a map's fields."""
    return list(values)


def sort(values: Any, by: Any = None, reverse: Any = False) -> list[Any]:
    """Sorted; `by` names the field of the elements to sort by."""
    if by is None:
        return sorted(values, reverse=bool(reverse))
    if type(by) is not str:
        raise refuse("sorted", "the name of a field as `by`", by)
    elements = list(values)
    if not all(type(element) is dict and by in element for element in elements):
        raise EvaluationError("sorted needs maps that all have the field to sort by")
    return sorted(elements, key=lambda element: element[by], reverse=bool(reverse))


def reverse(values: Any) -> list[Any]:
    """The elements from last to first; a list for text too."""
    return list(reversed(values))


def numbers(start: Any, stop: Any = None, step: Any = 1) -> list[int]:
    """Whole numbers as Python's range counts them."""
    counted = range(start, stop, step) if stop is not None else range(0, start, step)
    # len() of a long range fails where its elements do not fit a machine word, so count without it.
    if math.ceil((counted.stop - counted.start) / counted.step) > RESULT_ELEMENTS_MAX:
        raise EvaluationError(f"range counts at most {RESULT_ELEMENTS_MAX:,} numbers")
    return list(counted)


def pairs(*lists: Any) -> list[list[Any]]:
    """The first elements of all lists, then the second ones, as far as the shortest goes."""
    return [list(row) for row in zip(*lists, strict=False)]


def number(values: Any, start: Any = 0) -> list[list[Any]]:
    """Every element with its position: [0, first], [1, second], ..."""
    return [[index, value] for index, value in enumerate(values, start)]


def first(values: Any, default: Any = None) -> Any:
    """The first element, or the default of an empty list."""
    return _sequence("first", values)[0] if len(values) else default


def last(values: Any, default: Any = None) -> Any:
    """The last element, or the default of an empty list."""
    return _sequence("last", values)[-1] if len(values) else default


def flatten(values: Any) -> list[Any]:
    """One list of the elements of all lists in a list; one level deep, and other elements stay."""
    flat: list[Any] = []
    for value in _list("flatten", values):
        if type(value) is list:
            flat.extend(value)
        else:
            flat.append(value)
        if len(flat) > RESULT_ELEMENTS_MAX:
            raise EvaluationError(
                f"the result of flatten is longer than {RESULT_ELEMENTS_MAX:,} elements"
            )
    return flat


def unique(values: Any) -> list[Any]:
    """The elements without repetition, in the order in which each came first."""
    elements = list(values)
    try:
        return list(dict.fromkeys(elements))
    except TypeError:
        raise EvaluationError("unique needs elements that are no lists or maps") from None


def chunk(values: Any, size: Any) -> list[Any]:
    """A list cut into lists of `size` elements; the last may be shorter."""
    if type(size) is not int or size < 1:
        raise EvaluationError("chunk needs a size of 1 or more")
    elements = _sequence("chunk", values)
    return [elements[start : start + size] for start in range(0, len(elements), size)]


def type_of(value: Any) -> str:
    """null, boolean, number, text, list or map."""
    return kind_of(value)


def _list(name: str, value: Any) -> list[Any]:
    if type(value) is not list:
        raise refuse(name, "a list", value)
    return value


def _sequence(name: str, value: Any) -> Any:
    if type(value) not in (list, tuple, str):
        raise refuse(name, "a list or text", value)
    return value


_DEFAULT: Final = frozenset({"default"})
_ELEMENTS: Final = "needs a list whose elements can be compared with each other"

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("len", len, "number", arguments=(1, 1), needs="len needs text, a list or a map"),
    function("list", as_list, "list", needs="list needs a list, a set, a map or text"),
    function(
        "sum", sum, "number", arguments=(1, 1), consumes=True, needs="sum needs a list of numbers"
    ),
    function(
        "min", min, arguments=(1, None), keywords=_DEFAULT, consumes=True, needs=f"min {_ELEMENTS}"
    ),
    function(
        "max", max, arguments=(1, None), keywords=_DEFAULT, consumes=True, needs=f"max {_ELEMENTS}"
    ),
    function("any", any, "boolean", arguments=(1, 1), consumes=True, needs="any needs a list"),
    function("all", all, "boolean", arguments=(1, 1), consumes=True, needs="all needs a list"),
    function("sorted", sort, "list", needs=f"sorted {_ELEMENTS}"),
    function("reversed", reverse, "list", needs="reversed needs a list or text"),
    function("range", numbers, "list", needs="range needs whole numbers, and a step that is not 0"),
    function("zip", pairs, "list", needs="zip needs lists"),
    function("enumerate", number, "list", needs="enumerate needs a list"),
    function("first", first),
    function("last", last),
    function("flatten", flatten, "list"),
    function("unique", unique, "list"),
    function("chunk", chunk, "list"),
    function("type_of", type_of, "text"),
)
