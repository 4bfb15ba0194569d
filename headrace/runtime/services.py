"""The services that a worker can run, found by name through the entry-point group `headrace.services`."""

from importlib.metadata import entry_points

from headrace.runtime.contracts.service import Service
from headrace.runtime.environment import Values
from headrace.runtime.errors import SettingsError
from headrace.runtime.settings import WorkerSettings

GROUP = "headrace.services"


def load_service(name: str, settings: WorkerSettings, values: Values) -> Service:
    """The service of this name.

    Raises:
        SettingsError: what it is built on is not installed.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise SettingsError(f"there is no service '{name}'; reinstall headrace")
    try:
        kind = points[name].load()
    except ImportError as error:
        raise SettingsError(
            f"the setting '{name}' needs packages that are not installed: {error}; pip install 'headrace[{name}]'"
        ) from error
    service: Service = kind(settings, values)
    return service
