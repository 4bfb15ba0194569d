"""The actions that are installed, found by name through the entry-point group `headrace.actions`."""

from functools import cache
from importlib.metadata import EntryPoint

from headrace.runtime.contracts.action import Action
from headrace.runtime.installed import installed, load

GROUP = "headrace.actions"


def installed_actions() -> dict[str, EntryPoint]:
    """Every installed action by name; none is imported."""
    return installed(GROUP)


@cache
def load_action(name: str) -> type[Action]:
    """Import the action class of this name.

    Raises:
        KeyError: no such action is installed.
        SettingsError: the package that offers it cannot be imported, or it is no action.
    """
    return load(installed_actions()[name], Action)
