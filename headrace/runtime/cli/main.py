"""The command line: `headrace`. Nothing heavy is imported before a command is chosen."""

import sys
from pathlib import Path
from typing import Any

import click

from headrace.runtime.cli.failure import (
    EXIT_INTERRUPTED,
    note_debug,
    note_json,
    report,
    wants_json,
)
from headrace.runtime.cli.lazy_group import Entry, LazyGroup

COMMANDS = "headrace.runtime.cli"
ENTRIES = {
    "run": Entry(f"{COMMANDS}.run:run", "Run flows until they are stopped."),
    "test": Entry(f"{COMMANDS}.cases:test", "Run the test cases of flows, without a broker."),
    "validate": Entry(f"{COMMANDS}.validate:validate", "Check flows, and report every mistake."),
    "plan": Entry(f"{COMMANDS}.plan:plan", "Show what flows compile to."),
    "trigger": Entry(f"{COMMANDS}.trigger:trigger", "Start a run of a flow."),
    "dlq": Entry(f"{COMMANDS}.dlq:dlq", "Look at dead letters, mend them, send them back."),
    "cdc": Entry(f"{COMMANDS}.cdc:cdc", "Look after captures of databases."),
    "topics": Entry(f"{COMMANDS}.topics:topics", "List topics, and the lag of flows."),
    "state": Entry(f"{COMMANDS}.state:state", "Show what running flows keep per key."),
    "reset": Entry(f"{COMMANDS}.reset:reset", "Throw the state of a stage away."),
    "webhook": Entry(f"{COMMANDS}.webhook:webhook", "Try webhooks out."),
    "doctor": Entry(f"{COMMANDS}.doctor:doctor", "Look for what keeps flows from running."),
    "actions": Entry(f"{COMMANDS}.actions:actions", "List the installed actions."),
    "schema": Entry(f"{COMMANDS}.schema:schema", "Print the JSON Schema of flows or of an action."),
    "broker": Entry(f"{COMMANDS}.broker:broker", "Run Apache Kafka on this machine."),
    "demo": Entry(
        f"{COMMANDS}.demo:demo", "How late are 336,776 flights? Answered on a real Kafka."
    ),
    "version": Entry(f"{COMMANDS}.versions:version", "Print versions."),
}

HELP = """Run flows on Apache Kafka, exactly once.

\b
  headrace validate flows/             check flow documents
  headrace plan flows/orders.yaml      see topics, stages and generated code
  headrace run flows/ --local          run them, with a Kafka started for it

\b
Exit codes:
  0 done           3 a flow is wrong       6 a flow stopped, or data would be lost
  1 a check failed 4 a setting is wrong    7 the process must be started again
  2 wrong usage    5 no broker answers     130 interrupted with Ctrl-C
"""


class Headrace(LazyGroup):
    """The group of all commands; turns errors into messages and exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Known before the command's own options are read, so that an error in these is JSON as well.
        own = args[: args.index("--")] if "--" in args else args
        note_json(ctx, self, "--json" in own)  # type: ignore[arg-type] # the parameter is not looked at
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(EXIT_INTERRUPTED)
        except click.ClickException as error:
            if not wants_json(ctx):
                raise
            ctx.exit(report(ctx, error))
        except Exception as error:  # the last one who can tell of it
            ctx.exit(report(ctx, error))


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"headrace {version('headrace')}")
        ctx.exit()


@click.group(
    cls=Headrace,
    entries=ENTRIES,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=note_debug,
    help="Show tracebacks of errors.",
)
def headrace() -> None:  # noqa: D103 # its docstring would be its help, which is HELP
    pass


def main() -> None:
    """The entry point. The current folder is where a flow's `call: module:function` is looked for."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    headrace(prog_name="headrace")
