"""The kinds of stores that are installed, found by name through the entry-point group `headrace.stores`."""

from importlib.metadata import entry_points

from headrace.runtime.contracts.store import StoreKind
from headrace.runtime.errors import SettingsError

GROUP = "headrace.stores"


def store_kind(name: str) -> StoreKind:
    """The kind of store of this name.

    Raises:
        SettingsError: there is no such kind, or the package that offers it cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise SettingsError(
            f"there is no store '{name}'; installed are {', '.join(sorted(points))}"
        )
    try:
        kind: StoreKind = points[name].load()()
    except Exception as error:  # importing runs the package's code, which may raise anything
        raise SettingsError(
            f"store '{name}' of '{points[name].value}' cannot be imported: {type(error).__name__}: {error};"
            " reinstall the package that brings it"
        ) from error
    return kind
