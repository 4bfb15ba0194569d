"""Options that several commands share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headrace.runtime.cli.failure import note_debug, note_json

if TYPE_CHECKING:
    from datetime import timedelta

    from headrace.runtime.settings import WorkerSettings

Command = TypeVar("Command", bound=Callable[..., Any])


class DurationType(click.ParamType["timedelta"]):
    """A length of time as documents write it."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "timedelta":
        from headrace.runtime.duration import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def common_options(command: Command) -> Command:
    """`--json` and `--debug`, which every command has; `as_json` is the argument's name."""
    command = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=note_debug,
        help="Show tracebacks of errors.",
    )(command)
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=note_json,
        help="Write JSON, errors too.",
    )(command)


def paths_argument(*, is_required: bool) -> Callable[[Command], Command]:
    """Files and folders of flows. Whether they exist is for the loader to say, with a suggestion."""
    return click.argument(
        "paths",
        nargs=-1,
        required=is_required,
        type=click.Path(path_type=str),
        metavar="PATHS..." if is_required else "[PATHS]...",
    )


def settings_options(command: Command) -> Command:
    """The options that say which cluster, and with which settings; see `settings_of`."""
    for option in reversed(
        [
            click.option("--brokers", help="Kafka's bootstrap servers, as host:port,host:port."),
            click.option(
                "--config",
                type=click.Path(path_type=Path),
                help="The configuration file; otherwise HEADRACE_CONFIG or ./headrace.yaml.",
            ),
            click.option("--prefix", help="What groups and internal topics begin with."),
            click.option(
                "--set",
                "assignments",
                multiple=True,
                metavar="KEY=VALUE",
                callback=_assignments,
                help="Any other setting, such as stop_timeout=10s or client.security.protocol=ssl.",
            ),
        ]
    ):
        command = option(command)
    return command


def _assignments(
    _ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(
                f"{text!r} must be KEY=VALUE, such as partitions=8", param=param
            )
        found[name.strip()] = value
    return found


def settings_of(
    assignments: Mapping[str, str], config: Path | None, **options: Any
) -> "WorkerSettings":
    """The settings that options, `--set`, the environment and the configuration file make together.

    Raises:
        SettingsError: naming the setting and where it came from.
    """
    from headrace.runtime.settings import load_settings

    client = {
        name.removeprefix("client."): value
        for name, value in assignments.items()
        if name.startswith("client.")
    }
    given: dict[str, Any] = {
        name: value for name, value in assignments.items() if not name.startswith("client.")
    }
    given |= {name: value for name, value in options.items() if value is not None}
    if client:
        given["client"] = client
    return load_settings(given, config)
