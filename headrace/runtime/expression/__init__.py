"""The expression language: a safe subset of Python's expressions, compiled to source that is inlined into generated code.

`docs/expressions.md` is the users' reference. The way of an expression: scan.py (text) → syntax.py (tree) → check.py
(accepted, and what it reads) → emit.py (source). explain.py turns an exception of generated code into the users' words.
"""

from headrace.runtime.expression.errors import EvaluationError, ExpressionError
from headrace.runtime.expression.explain import explain
from headrace.runtime.expression.expression import NAMES, Expression
from headrace.runtime.expression.functions import FUNCTIONS
from headrace.runtime.expression.schema import ExtraNames
from headrace.runtime.expression.template import Template

__all__ = [
    "FUNCTIONS",
    "NAMES",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "ExtraNames",
    "Template",
    "explain",
]
