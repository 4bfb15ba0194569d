"""Functions of the user, named in documents as `package.module:function`."""

import importlib
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
    except ImportError as error:
        raise SettingsError(
            f"module '{module_name}' cannot be imported: {error}; it is looked for in the current folder and in what is installed"
        ) from error
    function = getattr(module, name, None)
    if function is None:
        raise SettingsError(f"module '{module_name}' has no function '{name}'")
    if not callable(function):
        raise SettingsError(f"'{path}' cannot be called: it is a {type(function).__name__}")
    return function  # type: ignore[no-any-return] # what a module holds has no type here
