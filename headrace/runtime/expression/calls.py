"""Which calls are accepted: listed functions and methods of text, with arguments that fit."""

import ast
from typing import Final

from headrace.runtime.expression.errors import did_you_mean
from headrace.runtime.expression.functions import ABSENT, TABLE
from headrace.runtime.expression.functions.table import Function
from headrace.runtime.expression.methods import METHODS, REFUSED
from headrace.runtime.expression.syntax import Source, field_of

_LOOPING: Final = frozenset(
    {"any", "all", "sum", "min", "max", "sorted", "join", "list", "unique", "enumerate"}
)


def check_call(node: ast.Call, source: Source) -> None:
    """Check what is called and how; the arguments' own parts are the caller's affair.

    Raises:
        ExpressionError: an unknown function, a method that is not listed, or arguments that do not fit.
    """
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise source.fail("arguments are written one by one, without '*'", argument)
    if any(keyword.arg is None for keyword in node.keywords):
        raise source.fail("arguments are written one by one, without '**'", node)
    match node.func:
        case ast.Name(id=name):
            _check_function(node, name, source)
        case ast.Attribute():
            _check_method(node, node.func, source)
        case _:
            raise source.fail("only listed functions and methods of text can be called", node)


def _check_function(node: ast.Call, name: str, source: Source) -> None:
    if name not in TABLE:
        raise source.fail(_unknown_function(name), node)
    called = TABLE[name]
    _check_count(name, len(node.args), len(node.keywords), called.least, called.most, node, source)
    for keyword in node.keywords:
        if keyword.arg not in called.keywords:
            raise source.fail(_unknown_keyword(name, str(keyword.arg), called.keywords), node)
        if keyword.arg in called.parameters[: len(node.args)]:
            raise source.fail(f"{name} got its argument '{keyword.arg}' twice", node)
    for argument in node.args:
        if isinstance(argument, ast.GeneratorExp) and name not in _LOOPING:
            raise source.fail(f"{name} takes a list here; write [x for x in ...]", argument)
    _check_written(node, called, source)


def _check_written(node: ast.Call, called: Function, source: Source) -> None:
    """Check the arguments that must be literals, and those that happen to be."""
    arguments = dict(zip(called.parameters, node.args, strict=False))
    arguments.update({str(keyword.arg): keyword.value for keyword in node.keywords})
    for parameter, check in {**called.literals, **called.checked}.items():
        argument = arguments.get(parameter)
        if argument is None:
            continue
        if not isinstance(argument, ast.Constant):
            if parameter in called.literals:
                raise source.fail(
                    f"the {parameter} of {called.name} must be written out as text, so that it is compiled once",
                    argument,
                )
            continue
        try:
            check(argument.value)
        except ValueError as error:
            raise source.fail(str(error), argument) from error


def _check_method(node: ast.Call, attribute: ast.Attribute, source: Source) -> None:
    name, is_safe = field_of(attribute)
    if name not in METHODS:
        raise source.fail(_unknown_method(name), attribute)
    if is_safe:
        raise source.fail(
            f"'?.' reads fields and cannot call; write coalesce(value, \"\").{name}(...)", attribute
        )
    method = METHODS[name]
    _check_count(
        f".{name}", len(node.args), len(node.keywords), method.least, method.most, node, source
    )
    for keyword in node.keywords:
        if keyword.arg not in method.keywords:
            raise source.fail(_unknown_keyword(f".{name}", str(keyword.arg), method.keywords), node)
    for argument in node.args:
        if isinstance(argument, ast.GeneratorExp) and name != "join":
            raise source.fail(f".{name} takes no loop; write [x for x in ...]", argument)


def _check_count(
    name: str,
    given: int,
    keywords: int,
    least: int,
    most: int | None,
    node: ast.Call,
    source: Source,
) -> None:
    if given >= least and (most is None or given + keywords <= most):
        return
    if most is None:
        wanted = f"at least {_arguments(least)}"
    elif least == most:
        wanted = _arguments(least)
    else:
        wanted = f"{least} to {_arguments(most)}"
    raise source.fail(f"{name} takes {wanted}, and gets {given + keywords}", node)


def _arguments(count: int) -> str:
    return "no argument" if count == 0 else f"{count} argument{'s' if count > 1 else ''}"


def _unknown_function(name: str) -> str:
    if name in ABSENT:
        return f"there is no {name}(): {ABSENT[name]}"
    if name.startswith("__"):
        return f"'{name}' cannot be called; see the list of functions"
    if suggestion := did_you_mean(name, TABLE):
        return f"unknown function '{name}'{suggestion}"
    if name in METHODS or name in REFUSED:
        hint = f"it is a method of text: value.{name}(...)" if name in METHODS else REFUSED[name]
        return f"unknown function '{name}'; {hint}"
    return f"unknown function '{name}'; Python code belongs into `map` with `call: package.module:function`"


def _unknown_method(name: str) -> str:
    if name in REFUSED:
        return f"there is no method '.{name}()'; {REFUSED[name]}"
    if name in TABLE:
        return f"there is no method '.{name}()'; write {name}(value)"
    return f"there is no method '.{name}()'{did_you_mean(name, METHODS)}" + (
        "" if did_you_mean(name, METHODS) else "; only methods of text can be called"
    )


def _unknown_keyword(name: str, keyword: str, known: frozenset[str]) -> str:
    if not known:
        return f"{name} takes no named arguments, such as '{keyword}'"
    return f"{name} has no argument named '{keyword}'; it has {', '.join(sorted(known))}"
