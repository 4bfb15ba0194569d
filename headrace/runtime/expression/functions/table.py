"""What a listed function is."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.runtime.expression.errors import EvaluationError, kind_of, with_article

NO_ARGUMENTS: Final[Mapping[str, Callable[[Any], None]]] = {}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function that expressions may call.

    `kind` is what it returns (see kinds.py), `needs` its rule for arguments, used where Python's own function fails.
    `literals` names the arguments that must be written out, `checked` those that are looked at early when they are; both map to
    a check that raises ValueError with a reason. `method` names the method of text that is emitted in the function's place.
    `consumes` tells that it looks at the elements of its first argument one by one and keeps at most one.
    """

    name: str
    call: Callable[..., Any]
    least: int
    most: int | None
    parameters: tuple[str, ...] = ()
    keywords: frozenset[str] = frozenset()
    kind: str | None = None
    needs: str | None = None
    literals: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)
    checked: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)
    method: str | None = None
    consumes: bool = False

    @property
    def emitted(self) -> str:
        """The name by which generated code calls it."""
        return f"hr_{self.name}"


def function(
    name: str,
    call: Callable[..., Any],
    kind: str | None = None,
    *,
    arguments: tuple[int, int | None] | None = None,
    keywords: frozenset[str] = frozenset(),
    **more: Any,
) -> Function:
    """Describe a function; without `arguments` its Python signature tells how it may be called."""
    if arguments is not None:
        least, most = arguments
        return Function(
            name=name, call=call, kind=kind, least=least, most=most, keywords=keywords, **more
        )
    parameters = inspect.signature(call).parameters.values()
    is_open = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    single = [
        parameter for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL
    ]
    return Function(
        name=name,
        call=call,
        kind=kind,
        least=sum(parameter.default is parameter.empty for parameter in single),
        most=None if is_open else len(single),
        parameters=tuple(parameter.name for parameter in single),
        keywords=frozenset(
            parameter.name for parameter in single if parameter.default is not parameter.empty
        ),
        **more,
    )


def refuse(name: str, needed: str, value: object) -> EvaluationError:
    """The error of a function that got a value of the wrong kind."""
    return EvaluationError(f"{name} needs {needed}, not {with_article(kind_of(value))}")
