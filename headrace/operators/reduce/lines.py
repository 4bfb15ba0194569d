"""A Python function written line by line, the way generated code is, for aggregates outside of generated code."""

import itertools
import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from headrace.runtime.expression import FUNCTIONS, Expression
from headrace.runtime.task.records import decode_key

RECORD_NAMES: Final = frozenset({"event", "key", "timestamp"})
"""What is known of a record where no generated code is around."""

_numbers = itertools.count()


class Lines:
    """One function being written; `key` is a parameter of bytes, and a variable of text once an expression reads it."""

    def __init__(self, name: str, *parameters: str) -> None:
        self.name = name
        self.spelled: dict[str, str] = {"event": "event"}
        self._lines = [f"def {name}({', '.join(parameters)}):"]
        self._indent = 1
        self._constants: dict[str, Any] = {"decode_key": decode_key}
        self._variables = itertools.count(1)
        self._has_key = False

    def line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        self.line(header)
        self._indent += 1
        yield
        self._indent -= 1

    def expression(self, part: Expression) -> str:
        if "key" in part.reads and not self._has_key:
            self.line("key = decode_key(key)")
            self._has_key = True
        return part.emit({name: name for name in RECORD_NAMES})

    def constant(self, value: object, hint: str) -> str:
        for name, known in self._constants.items():
            if known is value:
                return name
        name = self.variable(hint)
        self._constants[name] = value
        return name

    def variable(self, hint: str, spelled: str = "") -> str:
        name = f"{hint}_{next(self._variables)}"
        if spelled:
            self.spelled[name] = spelled
        return name

    @property
    def source(self) -> str:
        return "\n".join(self._lines) + "\n"

    def function(self) -> Callable[..., Any]:
        """The function, compiled; tracebacks show its lines."""
        source = self.source
        file_name = f"<headrace reduce {self.name} {next(_numbers)}>"
        linecache.cache[file_name] = (
            len(source),
            None,
            source.splitlines(keepends=True),
            file_name,
        )
        namespace: dict[str, Any] = {**FUNCTIONS, **self._constants}
        exec(compile(source, file_name, "exec", dont_inherit=True), namespace)  # noqa: S102 # lines of aggregates and checked expressions
        function: Callable[..., Any] = namespace[self.name]
        return function
