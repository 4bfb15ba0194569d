"""Bounds of expressions: what a flow's author may write, and what one evaluation may cost.

Everything that can be counted in the text is refused when the flow is read; the rest raises an `EvaluationError` for its record.
"""

from typing import Final

TEXT_CHARACTERS_MAX: Final = 10_000  # of an expression as it is written
NODES_MAX: Final = 1_000  # of its syntax tree
DEPTH_MAX: Final = 50  # of its syntax tree and of nested brackets
LOOPS_MAX: Final = 16  # `for` clauses in one expression
GROWTH_MAX: Final = 1_000  # how often parts of the input may be repeated in a result; see growth.py

LOOP_TEXT_CHARACTERS_MAX: Final = 100  # written out in the element of a loop that has no budget
ROUNDS_MAX: Final = 100_000  # rounds of all loops of one comprehension, the ones inside it included
KEPT_UNITS_MAX: Final = 16_777_216  # characters and elements that a comprehension may build
RESULT_CHARACTERS_MAX: Final = 1_048_576  # of the result of a function that can lengthen text
RESULT_ELEMENTS_MAX: Final = 100_000  # of the result of a function that can lengthen a list
POWER_BITS_MAX: Final = 4_096  # of the whole number that ** returns
DIGITS_MAX: Final = 300  # that round() may keep or cut
INLINE_EXPONENT_MAX: Final = 8  # a smaller literal exponent is emitted as it is
FORMAT_WIDTH_MAX: Final = 1_000  # of a field in an f-string
FORMAT_PRECISION_MAX: Final = 100
PATTERN_CHARACTERS_MAX: Final = 1_000
PATTERN_MEMORY_BYTES_MAX: Final = 1_048_576  # that google-re2 may use for one compiled pattern
TIME_FORMAT_CHARACTERS_MAX: Final = 100
TEMPLATE_DEPTH_MAX: Final = 50  # of nested lists and maps in a value with ${...}
