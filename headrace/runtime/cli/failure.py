"""How errors end a command: a message on stderr or a JSON document on stdout, and an exit code."""

import traceback
from typing import Any

import click

from headrace.runtime.errors import FlowError, HeadraceError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_JSON = "headrace.json"
_DEBUG = "headrace.debug"


def note_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    """The callback of `--json`: errors are written as JSON, too."""
    ctx.meta[_JSON] = ctx.meta.get(_JSON, False) or value
    return value


def note_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """The callback of `--debug`, which may stand before the command and behind it."""
    ctx.meta[_DEBUG] = ctx.meta.get(_DEBUG, False) or value


def is_debugging(ctx: click.Context) -> bool:
    """Whether tracebacks are wanted."""
    return bool(ctx.meta.get(_DEBUG))


def wants_json(ctx: click.Context) -> bool:
    """Whether the command that runs, or failed to begin, was asked for JSON."""
    return bool(ctx.meta.get(_JSON))


def report(ctx: click.Context, error: BaseException) -> int:
    """Tell of an error and return the exit code that it asks for."""
    if is_debugging(ctx):
        traceback.print_exception(error)
    message = message_of(error)
    if wants_json(ctx):
        from headrace.runtime.cli.output import print_json_line

        print_json_line({"error": error_document(error)})
    else:
        from headrace.runtime.cli.output import stderr

        console = stderr()
        console.print("error: ", style="bold red", end="")
        console.print(message, style="red", markup=False, soft_wrap=True)
    return exit_code_of(error)


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that this error ends."""
    return error.exit_code if isinstance(error, HeadraceError | click.ClickException) else 1


def message_of(error: BaseException) -> str:
    """The message for people. What is no error of headrace is a mistake of ours, or of a function that a flow calls."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, HeadraceError):
        return str(error)
    if isinstance(error, OSError):
        return str(error)
    return (
        f"{type(error).__name__}: {error}; this was not expected, --debug shows where it happened"
    )


def error_document(error: BaseException) -> dict[str, Any]:
    """The error as plain data; `headrace.runtime.worker.processes` makes an error of it again."""
    problems = error.problems if isinstance(error, FlowError) else ()
    return {
        "type": type(error).__name__,
        "message": message_of(error),
        "problems": [{"place": problem.place, "text": problem.text} for problem in problems],
    }
