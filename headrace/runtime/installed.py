"""What packages offer through entry-point groups: actions, lookups, formats."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from headrace.runtime.errors import SettingsError

Kind = TypeVar("Kind")


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Everything of a group by name, none of it imported; of two with one name, headrace's own."""
    return {point.name: point for point in sorted(entry_points(group=group), key=_own_last)}


def _own_last(point: EntryPoint) -> tuple[bool, str]:
    return point.value.startswith("headrace."), point.name


def load(point: EntryPoint, kind: type[Kind]) -> type[Kind]:
    """Import a class.

    Raises:
        SettingsError: the package that offers it cannot be imported, or it is no subclass of `kind`.
    """
    what = f"{point.group.removeprefix('headrace.').removesuffix('s')} '{point.name}' of '{point.value}'"
    try:
        loaded = point.load()
    except Exception as error:  # importing runs the package's code, which may raise anything
        raise SettingsError(
            f"{what} cannot be imported: {type(error).__name__}: {error}; reinstall the package that brings it"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, kind)):
        raise SettingsError(f"{what} is no subclass of {kind.__module__}.{kind.__qualname__}")
    return loaded
