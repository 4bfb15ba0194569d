"""How strongly Python's operators bind, for writing source with as few brackets as a person would use."""

import ast
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """From the weakest to the strongest."""

    CHOICE = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARISON = 4
    BIT_OR = 5
    BIT_XOR = 6
    BIT_AND = 7
    SHIFT = 8
    SUM = 9
    PRODUCT = 10
    SIGN = 11
    POWER = 12
    OPERAND = 13


OPERATORS: Final[dict[type[ast.operator], tuple[str, Level]]] = {
    ast.Add: ("+", Level.SUM),
    ast.Sub: ("-", Level.SUM),
    ast.Mult: ("*", Level.PRODUCT),
    ast.Div: ("/", Level.PRODUCT),
    ast.FloorDiv: ("//", Level.PRODUCT),
    ast.Mod: ("%", Level.PRODUCT),
    ast.Pow: ("**", Level.POWER),
    ast.RShift: (">>", Level.SHIFT),
    ast.BitAnd: ("&", Level.BIT_AND),
    ast.BitXor: ("^", Level.BIT_XOR),
    ast.BitOr: ("|", Level.BIT_OR),
}

_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


def comparison_sign(operator: ast.cmpop) -> str:
    """How a comparison is written."""
    return _COMPARISONS[type(operator)]
