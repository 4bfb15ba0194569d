"""The lookups that are installed, found by name through the entry-point group `headrace.lookups`."""

from functools import cache

from headrace.runtime.contracts.lookup import Lookup
from headrace.runtime.installed import installed, load

GROUP = "headrace.lookups"


@cache
def installed_lookups() -> dict[str, type[Lookup]]:
    """Every installed lookup by name.

    Raises:
        SettingsError: the package that offers one cannot be imported, or it is no lookup.
    """
    return {name: load(point, Lookup) for name, point in installed(GROUP).items()}  # type: ignore[type-abstract] # a base class is what is asked for
