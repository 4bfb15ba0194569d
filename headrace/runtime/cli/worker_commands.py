"""The command lines of worker processes that a supervisor starts."""

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.runtime.address import Address, parse_address
from headrace.runtime.duration import format_duration


def worker_command(
    paths: Sequence[str],
    assignments: Mapping[str, str],
    config: Path | None,
    options: Mapping[str, Any],
    level: str,
    until_idle: timedelta | None,
) -> list[str]:
    """The command of one worker process, without what each has of its own: instance id, address."""
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
        if name in ("instance_id", "http") or value is None:
            continue
        words += [option] if value is True else [f"{option}={value}"]
    if config is not None:
        words.append(f"--config={config}")
    if until_idle is not None:
        words.append(f"--until-idle={format_duration(until_idle)}")
    words += [f"--set={name}={value}" for name, value in assignments.items()]
    return [*words, "--", *paths]


def worker_commands(
    command: list[str],
    processes: int,
    instance_id: str | None,
    http: str | None = None,
    http_advertise: str | None = None,
) -> list[list[str]]:
    """The command of every process: `-<number>` behind the instance id and following ports tell them apart."""
    at = command.index("--")
    commands = []
    for number in range(processes):
        own: list[str] = []
        if instance_id is not None:
            own.append(f"--instance-id={instance_id}-{number}")
        if http is not None:
            own.append(f"--http={_port_of(http, number)}")
        if http is not None and http_advertise is not None:
            own.append(f"--set=http_advertise={_port_of(http_advertise, number)}")
        commands.append([*command[:at], *own, *command[at:]])
    return commands


def _port_of(address: str, number: int) -> str:
    """The address of one process; one without a port, or with any port, is the same for all."""
    if ":" not in address.rpartition("]")[2]:
        return address
    host, port = parse_address(address)
    return str(Address(host, port + number if port else 0))
