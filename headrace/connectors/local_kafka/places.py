"""Where things are on this machine; the only file of the launcher that reads the process environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from headrace.runtime.environment import state_home


def environment_or_own(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    """The given variables, or those of this process."""
    return os.environ if environment is None else environment


def cache_home(environment: Mapping[str, str]) -> Path:
    """What can be fetched or made again: `$XDG_CACHE_HOME/headrace`, or `~/.cache/headrace`."""
    root = environment.get("XDG_CACHE_HOME")
    return Path(root) / "headrace" if root else Path.home() / ".cache" / "headrace"


def broker_state(environment: Mapping[str, str]) -> Path:
    """The folder of `broker.json` and, unless another is named, of the data that brokers keep."""
    return state_home(environment)


def kept_data(environment: Mapping[str, str]) -> Path:
    """The data folder of a broker that keeps its data and was given no folder."""
    return broker_state(environment) / "kafka-data"


def find_program(name: str, environment: Mapping[str, str]) -> Path | None:
    """The first executable file of this name on PATH."""
    for folder in environment.get("PATH", "").split(os.pathsep):
        candidate = Path(folder) / name
        if folder and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None
