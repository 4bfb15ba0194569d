"""Actions of a test, as if a package had brought them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint

from headrace.runtime.actions import GROUP, installed_actions, load_action
from headrace.runtime.contracts.action import Action


@contextmanager
def installed(name: str, action: type[Action]) -> Iterator[None]:
    """The action is there under this name while this lasts."""
    point = EntryPoint(name, f"{action.__module__}:{action.__name__}", GROUP)
    installed_actions()[name] = point
    try:
        yield
    finally:
        del installed_actions()[name]
        load_action.cache_clear()
