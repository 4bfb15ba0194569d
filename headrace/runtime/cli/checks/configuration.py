"""Checks of the settings: where they come from, and whether what they name can be used."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.runtime.cli.checks.finding import Finding, fail, ok
from headrace.runtime.environment import (
    CLIENT_PREFIX,
    SETTING_PREFIX,
    config_path,
    settings_of_environment,
)
from headrace.runtime.settings import WorkerSettings


def check_sources(config: Path | None) -> Iterator[Finding]:
    """The configuration file and the environment variables; names only, since values may be secrets."""
    path = config or config_path()
    yield ok("configuration", f"{path}" if path else "no file; defaults, options and environment")
    names = list(_variables(settings_of_environment()))
    yield ok("environment", ", ".join(names) or "no HEADRACE_ variables that are settings")


def check_settings(settings: WorkerSettings) -> Iterator[Finding]:
    """What the settings come to."""
    client = ", ".join(sorted(settings.client)) or "none"
    yield ok(
        "settings",
        f"brokers {settings.brokers}, prefix {settings.prefix}, {settings.processing},"
        f" group protocol {settings.group_protocol}, client settings {client}",
    )
    yield check_state_dir(settings.state_dir)


def check_state_dir(folder: Path) -> Finding:
    """Whether workers can keep files there; the folder itself is not made."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        later = "" if nearest == folder else " (made by the first worker)"
        return ok("state directory", f"{folder}{later}")
    why = "cannot be written" if nearest.is_dir() else f"is no folder: {nearest} is in the way"
    return fail(
        "state directory", f"{folder} {why}", "set state_dir to a folder that can be written"
    )


def _variables(settings: Mapping[str, object]) -> Iterator[str]:
    for name, value in settings.items():
        if name == "client" and isinstance(value, Mapping):
            yield from (CLIENT_PREFIX + key.upper().replace(".", "_") for key in value)
        else:
            yield SETTING_PREFIX + name.upper()
