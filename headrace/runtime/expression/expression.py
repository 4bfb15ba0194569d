"""One expression, ready to be inlined into generated code."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from headrace.runtime.expression.check import Checker
from headrace.runtime.expression.emit import Emitter
from headrace.runtime.expression.kinds import kind
from headrace.runtime.expression.schema import expression_schema
from headrace.runtime.expression.syntax import Source

NAMES: Final = frozenset(
    {
        "event",
        "key",
        "headers",
        "timestamp",
        "results",
        "trigger",
        "run",
        "flow",
        "env",
        "secret",
        "secrets",
    }
)
"""The names that every expression may use; `secrets` is another way to write `secret`."""


@dataclass(frozen=True)
class Expression:
    """An expression that was accepted. Equal to another of the same text and names.

    `reads` holds the names it mentions, `results`, `env` and `secrets` what it mentions under these names. `event_fields`
    holds the fields of the event that it reads, and is None when it uses the event as a whole. `kind` is the type of its
    value where that does not depend on the record; see kinds.py.
    """

    text: str
    names: frozenset[str]
    reads: frozenset[str] = field(compare=False)
    results: frozenset[str] = field(compare=False)
    env: frozenset[str] = field(compare=False)
    secrets: frozenset[str] = field(compare=False)
    event_fields: frozenset[str] | None = field(compare=False)
    kind: str | None = field(compare=False)
    _tree: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, names: frozenset[str] = NAMES) -> "Expression":
        """Read and check an expression.

        Raises:
            ExpressionError: with what is wrong, where, and what to write instead.
        """
        source = Source(text.strip())
        checker = Checker(source, names)
        checker.run()
        return cls(
            text=source.text,
            names=names,
            reads=frozenset(checker.reads),
            results=frozenset(checker.named["results"]),
            env=frozenset(checker.named["env"]),
            secrets=frozenset(checker.named["secret"]),
            event_fields=None if checker.is_event_whole else frozenset(checker.event_fields),
            kind=kind(source.tree),
            _tree=source.tree,
        )

    def emit(self, names: Mapping[str, str]) -> str:
        """Python source of this expression, in brackets unless it is a single operand.

        `names` maps roots (`event`) and dotted paths (`results.big`, `run.id`) to the source that stands for them; the longest
        one that fits a path wins. The source refers to these and to `FUNCTIONS` only.

        Raises:
            KeyError: `names` does not cover a path that the expression reads; the planner left it out.
        """
        return Emitter(names).embeddable(self._tree)

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return (Expression.parse, (self.text, self.names))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return expression_schema(cls.parse, cls, NAMES)
