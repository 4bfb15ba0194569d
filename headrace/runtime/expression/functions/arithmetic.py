"""Functions of numbers, and the guards of operators that could compute for ever."""

import math
from typing import Any, Final

from headrace.runtime.expression.budget import left_after
from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import (
    DIGITS_MAX,
    KEPT_UNITS_MAX,
    POWER_BITS_MAX,
    RESULT_CHARACTERS_MAX,
    RESULT_ELEMENTS_MAX,
)


def power(number: Any, exponent: Any) -> Any:
    """`number ** exponent`, of at most `POWER_BITS_MAX` bits and never complex."""
    if type(number) in _WHOLE and type(exponent) in _WHOLE:
        if (
            exponent > 0
            and number.bit_length() * exponent > POWER_BITS_MAX
            and number not in (-1, 0, 1)
        ):
            raise EvaluationError(f"the result of ** is larger than {POWER_BITS_MAX:,} bits")
    elif type(number) not in _NUMBERS or type(exponent) not in _NUMBERS:
        return number**exponent  # raises the TypeError that names both types
    result = number**exponent
    if type(result) is complex:
        raise EvaluationError("a negative number has no power with a fraction")
    return result


def repeat(value: Any, times: Any) -> Any:
    """Text or a list, repeated; `"ab" * 3` and `3 * "ab"`."""
    if type(times) in (str, list) and type(value) in _WHOLE:
        value, times = times, value
    if type(times) not in _WHOLE:
        raise TypeError  # as Python does; explain says the rule of `needs`
    if type(value) is str:
        if len(value) * times > RESULT_CHARACTERS_MAX:
            raise EvaluationError(f"repeated text has at most {RESULT_CHARACTERS_MAX:,} characters")
    elif type(value) is list:
        if len(value) * times > RESULT_ELEMENTS_MAX:
            raise EvaluationError(f"a repeated list has at most {RESULT_ELEMENTS_MAX:,} elements")
        if left_after(value, KEPT_UNITS_MAX // max(1, times)) < 0:
            raise EvaluationError(
                f"a repeated list holds at most {KEPT_UNITS_MAX:,} characters and elements"
            )
    else:
        raise TypeError
    return value * times


def rounded(number: Any, digits: Any = None) -> Any:
    """Python's round, to the even neighbour, with the number of digits bounded."""
    if type(digits) in _WHOLE and not -DIGITS_MAX <= digits <= DIGITS_MAX:
        raise EvaluationError(f"round keeps or cuts at most {DIGITS_MAX} digits")
    return round(number, digits)


def floor(number: Any) -> Any:
    """The largest whole number that is not above."""
    return math.floor(_finite("floor", number))


def ceil(number: Any) -> Any:
    """The smallest whole number that is not below."""
    return math.ceil(_finite("ceil", number))


def sqrt(number: Any) -> float:
    """The square root of a number that is not negative."""
    if _number("sqrt", number) < 0:
        raise EvaluationError("sqrt needs a number that is not negative")
    return math.sqrt(number)


def log(number: Any, base: Any = None) -> float:
    """The natural logarithm, or the one to a base."""
    if _number("log", number) <= 0 or (base is not None and _number("log", base) <= 0):
        raise EvaluationError("log needs a number above 0")
    if base == 1:
        raise EvaluationError("log has no base 1")
    return math.log(number) if base is None else math.log(number, base)


def _number(name: str, value: Any) -> Any:
    if type(value) not in _NUMBERS:
        raise refuse(name, "a number", value)
    return value


def _finite(name: str, value: Any) -> Any:
    if not math.isfinite(_number(name, value)):
        raise EvaluationError(f"{name} needs a finite number")
    return value


_WHOLE: Final = frozenset({int, bool})
_NUMBERS: Final = frozenset({int, float, bool})

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("abs", abs, "number", arguments=(1, 1), needs="abs needs a number"),
    function("round", rounded, "number", needs="round needs a number"),
    function("floor", floor, "number"),
    function("ceil", ceil, "number"),
    function("sqrt", sqrt, "float"),
    function("log", log, "float"),
    function(
        "int",
        int,
        "number",
        arguments=(1, 2),
        needs="int needs a number, or text that is a whole number",
    ),
    function(
        "float", float, "float", arguments=(1, 1), needs="float needs a number, or text that is one"
    ),
    function("bool", bool, "boolean", arguments=(1, 1)),
    function("repeat", repeat, needs="repeat needs text or a list, and a whole number of times"),
)
