"""`headrace broker`: Apache Kafka on this machine, in the foreground or the background."""

import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Any

import click

from headrace.runtime.contracts.local_broker import (
    BackgroundBroker,
    LocalBroker,
    LocalBrokerLauncher,
)
from headrace.runtime.errors import BrokerUnavailableError, SettingsError

DEFAULT_PORT = 9092
GROUP = "headrace.local_brokers"
LOOK_S = 0.5


def find_launcher(name: str = "kafka") -> LocalBrokerLauncher:
    """What the entry-point group `headrace.local_brokers` has under this name.

    Raises:
        SettingsError: nothing.
    """
    for entry in entry_points(group=GROUP, name=name):
        launcher: LocalBrokerLauncher = entry.load()
        return launcher
    raise SettingsError(
        f"no installed package has a local broker '{name}' (entry-point group {GROUP}); install headrace again"
    )


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that start a broker."""
    port = click.option(
        "--port",
        type=click.IntRange(0, 65_535),
        default=DEFAULT_PORT,
        show_default=True,
        help="Port on the loopback interface; 0 takes a free one.",
    )
    data = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder that keeps topics and records.  [default: the user's state folder]",
    )
    ephemeral = click.option(
        "--ephemeral", is_flag=True, help="Throw topics and records away at the end."
    )
    return port(data(ephemeral(_json_option(command))))


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@click.group(invoke_without_command=True)
@_where
@click.pass_context
def broker(
    context: click.Context, port: int, data: Path | None, ephemeral: bool, as_json: bool
) -> None:
    """Run Apache Kafka on this machine.

    Without a command it runs in the foreground until Ctrl-C, as `broker run` does.
    """
    given = [
        name
        for name in ("port", "data", "ephemeral", "as_json")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if context.invoked_subcommand is None:
        _run(port, data, ephemeral, as_json)
    elif given:
        option = given[0].removeprefix("as_")
        raise click.UsageError(f"--{option} goes after '{context.invoked_subcommand}'")


@broker.command()
@_where
def run(port: int, data: Path | None, ephemeral: bool, as_json: bool) -> None:
    """Run the broker in the foreground until Ctrl-C."""
    _run(port, data, ephemeral, as_json)


def _run(port: int, data: Path | None, ephemeral: bool, as_json: bool) -> None:
    kafka = find_launcher().in_foreground(
        port=port, data=data, ephemeral=ephemeral, progress=_progress
    )
    with kafka:
        described = {
            "brokers": kafka.brokers,
            "version": kafka.version,
            "data": str(kafka.data),
            "log": str(kafka.log_path),
            "ephemeral": ephemeral,
        }
        click.echo(json.dumps(described) if as_json else kafka.brokers)
        kept = "thrown away at the end" if ephemeral else f"kept in {kafka.data}"
        line = f"Apache Kafka {kafka.version} on {kafka.brokers}, records {kept}; Ctrl-C stops it"
        with _status_line(line):
            _await_stop(kafka)
        _progress("stopping")


def _await_stop(kafka: LocalBroker) -> None:
    """Return at SIGINT or SIGTERM; raise when the broker ends before."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    earlier = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not asked.wait(LOOK_S):
            if not kafka.is_running:
                raise BrokerUnavailableError(
                    f"the local broker ended by itself; its log is {kafka.log_path}"
                )
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@broker.command()
@_where
def start(port: int, data: Path | None, ephemeral: bool, as_json: bool) -> None:
    """Start a broker in the background, and print its address when it is ready."""
    started = find_launcher().start_in_background(
        port=port, data=data, ephemeral=ephemeral, progress=_progress
    )
    click.echo(json.dumps(_described(started)) if as_json else started.brokers)


@broker.command()
@_json_option
def stop(as_json: bool) -> None:
    """Stop the broker in the background; no error when none runs."""
    stopped = find_launcher().stop_background()
    if as_json:
        click.echo(json.dumps({"stopped": _described(stopped) if stopped else None}))
    elif stopped is None:
        click.echo("no local broker runs in the background")
    else:
        kept = "records thrown away" if stopped.is_ephemeral else f"records kept in {stopped.data}"
        click.echo(f"stopped the broker on {stopped.brokers}; {kept}")


@broker.command()
@_json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show the broker in the background; exit with 1 when none runs."""
    found = find_launcher().in_background()
    if as_json:
        click.echo(
            json.dumps({"running": found is not None, **(_described(found) if found else {})})
        )
    elif found is None:
        click.echo("no local broker runs in the background; `headrace broker start` starts one")
    else:
        kept = "ephemeral" if found.is_ephemeral else "kept"
        click.echo(
            f"{found.brokers} is Apache Kafka {found.version}, process {found.pid}, since {found.started}"
        )
        click.echo(f"records are {kept}: {found.data}")
    if found is None:
        context.exit(1)


@broker.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to delete.  [default: the user's state folder]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
def reset(data: Path | None, yes: bool, as_json: bool) -> None:
    """Delete all topics and records of a stopped broker."""
    launcher = find_launcher()
    folder = launcher.data_folder(data)
    if not yes and folder.exists():
        click.confirm(f"delete all topics and records in {folder}?", abort=True, err=True)
    deleted = launcher.reset(data)
    if as_json:
        click.echo(json.dumps({"deleted": str(deleted) if deleted else None}))
    else:
        click.echo(
            f"deleted {deleted}" if deleted else f"nothing to delete: {folder} does not exist"
        )


def _described(found: BackgroundBroker) -> dict[str, object]:
    return {
        "brokers": found.brokers,
        "pid": found.pid,
        "port": found.port,
        "data": str(found.data),
        "version": found.version,
        "started": found.started,
        "ephemeral": found.is_ephemeral,
    }


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _status_line(text: str) -> AbstractContextManager[object]:
    """A line that shows that the command lives, on a terminal; a plain line elsewhere."""
    if not sys.stderr.isatty():
        _progress(text)
        return nullcontext()
    from rich.console import Console  # here, because it takes a tenth of a second

    return Console(stderr=True).status(text)
