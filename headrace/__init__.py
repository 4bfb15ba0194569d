"""headrace: a Kafka-native runtime for flows.

The names below are imported when they are first used, so that `import headrace` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.runtime.environment import Values
    from headrace.runtime.errors import (
        FlowError,
        FlowStoppedError,
        HeadraceError,
        RecordError,
        SettingsError,
    )
    from headrace.runtime.flow import Flow, flow, flow_to_yaml, load_flows, parse_flows
    from headrace.runtime.settings import WorkerSettings
    from headrace.runtime.worker.collector import relax_collector
    from headrace.runtime.worker.worker import Statistics, Worker

_HOMES = {
    "Flow": "headrace.runtime.flow",
    "FlowError": "headrace.runtime.errors",
    "FlowStoppedError": "headrace.runtime.errors",
    "HeadraceError": "headrace.runtime.errors",
    "RecordError": "headrace.runtime.errors",
    "SettingsError": "headrace.runtime.errors",
    "Statistics": "headrace.runtime.worker.worker",
    "Values": "headrace.runtime.environment",
    "Worker": "headrace.runtime.worker.worker",
    "WorkerSettings": "headrace.runtime.settings",
    "flow": "headrace.runtime.flow",
    "flow_to_yaml": "headrace.runtime.flow",
    "load_flows": "headrace.runtime.flow",
    "parse_flows": "headrace.runtime.flow",
    "relax_collector": "headrace.runtime.worker.collector",
}

__all__ = [
    "Flow",
    "FlowError",
    "FlowStoppedError",
    "HeadraceError",
    "RecordError",
    "SettingsError",
    "Statistics",
    "Values",
    "Worker",
    "WorkerSettings",
    "flow",
    "flow_to_yaml",
    "load_flows",
    "parse_flows",
    "relax_collector",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("headrace")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'headrace' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
