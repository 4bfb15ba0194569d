"""The command lines of worker processes that a supervisor starts."""

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.runtime.duration import format_duration


def worker_command(
    paths: Sequence[str],
    assignments: Mapping[str, str],
    config: Path | None,
    options: Mapping[str, Any],
    level: str,
    until_idle: timedelta | None,
) -> list[str]:
    """The command of one worker process, without its instance id."""
    words = [
        sys.executable,
        "-m",
        "headrace",
        "run",
        "--json",
        "--supervised",
        "--log-level",
        level,
    ]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name == "instance_id" or value is None:
            continue
        words += [option] if value is True else [f"{option}={value}"]
    if config is not None:
        words.append(f"--config={config}")
    if until_idle is not None:
        words.append(f"--until-idle={format_duration(until_idle)}")
    words += [f"--set={name}={value}" for name, value in assignments.items()]
    return [*words, "--", *paths]


def worker_commands(command: list[str], processes: int, instance_id: str | None) -> list[list[str]]:
    """The command of every process; `-<number>` behind the instance id tells them apart."""
    if instance_id is None:
        return [command] * processes
    at = command.index("--")
    return [
        [*command[:at], f"--instance-id={instance_id}-{i}", *command[at:]] for i in range(processes)
    ]
