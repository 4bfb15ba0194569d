"""The lookups that are installed, found by name through the entry-point group `headrace.lookups`."""

from functools import cache
from importlib.metadata import entry_points

from headrace.runtime.contracts.lookup import Lookup
from headrace.runtime.errors import SettingsError

GROUP = "headrace.lookups"


@cache
def installed_lookups() -> dict[str, type[Lookup]]:
    """Every installed lookup by name, headrace's own first.

    Raises:
        SettingsError: the package that offers one cannot be imported, or it is no lookup.
    """
    points = sorted(
        entry_points(group=GROUP),
        key=lambda point: (not point.value.startswith("headrace."), point.name),
    )
    lookups: dict[str, type[Lookup]] = {}
    for point in points:
        try:
            loaded = point.load()
        except Exception as error:  # importing runs the package's code, which may raise anything
            raise SettingsError(
                f"lookup '{point.name}' of '{point.value}' cannot be imported: {type(error).__name__}: {error};"
                " reinstall the package that brings it"
            ) from error
        if not (isinstance(loaded, type) and issubclass(loaded, Lookup)):
            raise SettingsError(
                f"lookup '{point.name}' of '{point.value}' is no subclass of headrace.runtime.contracts.lookup.Lookup"
            )
        lookups.setdefault(point.name, loaded)
    return lookups
