"""The actions that are installed, found by name through the entry-point group `headrace.actions`."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from headrace.runtime.contracts.action import Action
from headrace.runtime.errors import SettingsError

GROUP = "headrace.actions"


@cache
def installed_actions() -> dict[str, EntryPoint]:
    """Every installed action by name; none is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=_own_last)}


def _own_last(point: EntryPoint) -> tuple[bool, str]:
    return point.value.startswith("headrace."), point.name


@cache
def load_action(name: str) -> type[Action]:
    """Import the action class of this name.

    Raises:
        KeyError: no such action is installed.
        SettingsError: the package that offers it cannot be imported, or it is no action.
    """
    point = installed_actions()[name]
    try:
        loaded = point.load()
    except Exception as error:  # importing runs the package's code, which may raise anything
        raise SettingsError(
            f"action '{name}' of '{point.value}' cannot be imported: {type(error).__name__}: {error};"
            " reinstall the package that brings it"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Action)):
        raise SettingsError(
            f"action '{name}' of '{point.value}' is no subclass of headrace.runtime.contracts.action.Action"
        )
    return loaded
