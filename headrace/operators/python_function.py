"""Functions of the user, named in documents as `package.module:function`."""

import importlib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from headrace.runtime.errors import SettingsError


@cache
def load_function(path: str) -> Callable[..., Any]:
    """Import the function.

    Raises:
        SettingsError: there is no such module or function, or it is asynchronous or not callable.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name.isidentifier():
        raise SettingsError(f"'{path}' is not of the form package.module:function")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise SettingsError(
            f"module '{module_name}' cannot be imported: {type(error).__name__}: {error};"
            " it is looked for in the current folder and in what is installed"
        ) from error
    function = getattr(module, name, None)
    if function is None:
        raise SettingsError(f"module '{module_name}' has no function '{name}'")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise SettingsError(
            f"'{path}' is asynchronous, and a record does not wait; name a plain function"
        )
    if not callable(function):
        raise SettingsError(f"'{path}' cannot be called: it is a {type(function).__name__}")
    return function  # type: ignore[no-any-return] # what a module holds has no type here


def copied(value: Any) -> Any:
    """A copy of an event, or of a part of one, down to the last list: the function it is given to may change it."""
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [copied(part) for part in value]
    return set(value) if isinstance(value, set) else value
