"""The brokers that are installed, found by name through the entry-point group `headrace.brokers`."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Broker
from headrace.runtime.errors import SettingsError

GROUP = "headrace.brokers"


def connect(engine: str, brokers: str, client: Mapping[str, str]) -> Broker:
    """The broker of an engine. Returns at once; whether a broker answers is seen by the first call.

    Raises:
        SettingsError: there is no such engine, or a client setting is refused.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if engine not in points:
        raise SettingsError(
            f"there is no engine '{engine}'; installed are {', '.join(sorted(points))}"
        )
    broker: Broker = points[engine].load()(brokers, client)
    return broker


def memory_broker(clock: Clock) -> Broker:
    """A broker in this process's memory that goes by this clock."""
    (point,) = [point for point in entry_points(group=GROUP) if point.name == "memory"]
    broker: Broker = point.load()(clock=clock)
    return broker
