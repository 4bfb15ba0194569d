"""`headrace state`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.cli.asking import Asked


@click.command(
    cls=Command,
    examples=[
        "headrace state orders totals",
        "headrace state orders totals user-17 --brokers kafka:9092",
        "headrace state orders per-minute user-17 --from 2026-01-31T12:00 --json",
    ],
)
@click.argument("flow")
@click.argument("stage")
@click.argument("key", required=False)
@settings_options
@click.option("--group", help="The flow's `group`, where its document names one.")
@click.option(
    "--encoding",
    type=click.Choice(["text", "base64"]),
    default="text",
    show_default=True,
    help="How keys are written.",
)
@click.option("--start", help="The first key to show.")
@click.option("--end", help="The key before which to stop.")
@click.option("--from", "first", metavar="TIME", help="Windows that begin at this time or later.")
@click.option("--to", "last", metavar="TIME", help="Windows that begin before this time.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="How many keys to show at most.",
)
@common_options
def state(
    flow: str,
    stage: str,
    key: str | None,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    group: str | None,
    encoding: str,
    start: str | None,
    end: str | None,
    first: str | None,
    last: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what a stage of a running flow keeps: of one KEY, or of all of them in order.

    Asks a worker that runs with --http; any of the flow's will do. TIME is ms since 1970 UTC, or a time such as
    2026-01-31T12:00:00Z. Workers that need a token get that of HEADRACE_HTTP_TOKEN. What is shown was committed, and may be a
    second or two old.
    """
    from headrace.runtime.cli.asking import Asking
    from headrace.runtime.cli.output import print_json_line, stderr

    if key is not None and (start is not None or end is not None):
        raise click.UsageError("--start and --end name keys; leave them out, or KEY")
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    asking = Asking.of_group(settings, group or flow)
    query = {"encoding": encoding, "from": first, "to": last}
    asked: Asked
    if key is not None:
        asked = asking.one(flow, stage, key, query)
    else:
        asked = asking.many(flow, stage, {**query, "start": start, "end": end}, limit)
    for item in asked.items if as_json else ():
        print_json_line(item)
    if not as_json:
        _print_text(asked.items)
        if asked.has_more:
            stderr().print("there is more; see --limit, --start, --from", soft_wrap=True)


def _print_text(items: list[dict[str, Any]]) -> None:
    from headrace.runtime.cli.output import print_table, stdout
    from headrace.runtime.cli.state_table import table_of

    headings, rows, alignment = table_of(items)
    print_table(stdout(), headings, rows, alignment)
