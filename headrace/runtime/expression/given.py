"""Templates that are evaluated once, before any record: what connections are made of."""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.runtime.expression.functions import FUNCTIONS
from headrace.runtime.expression.template import Template


def values_of(
    templates: Mapping[str, Template], env: Callable[[str], str], secret: Callable[[str], str]
) -> dict[str, Any]:
    """The values of templates that mention `env` and `secret` only.

    Raises:
        SettingsError: a variable or a secret is not there.
        EvaluationError: an expression cannot be evaluated.
    """
    return {name: _value_of(template, env, secret) for name, template in templates.items()}


def _value_of(template: Template, env: Callable[[str], str], secret: Callable[[str], str]) -> Any:
    if template.is_constant:
        return template.constant
    names: dict[str, str] = {}
    scope: dict[str, Any] = {**FUNCTIONS, "__builtins__": {}}
    for root, wanted, find in (("env", template.env, env), ("secret", template.secrets, secret)):
        for number, name in enumerate(sorted(wanted)):
            variable = f"{root}_{number}"
            names[f"{root}.{name}"] = variable
            names[f"{root}s.{name}"] = variable
            scope[variable] = find(name)
    return eval(template.emit(names), scope)  # noqa: S307 # what Template.emit wrote of checked expressions, without builtins
