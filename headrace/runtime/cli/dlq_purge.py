"""`headrace dlq purge`."""

from collections.abc import Mapping
from pathlib import Path

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.letters import box_of, choice_of, choice_options
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import common_options, settings_of, settings_options


@click.command(
    cls=Command,
    examples=[
        "headrace dlq purge orders 0-17",
        "headrace dlq purge orders --before 30d --yes",
    ],
)
@flow_argument
@click.argument("ids", nargs=-1)
@choice_options
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@settings_options
@common_options
def purge(
    flow: str,
    flows: tuple[str, ...],
    ids: tuple[str, ...],
    stages: tuple[str, ...],
    error: str | None,
    since: int | None,
    before: int | None,
    is_all: bool,
    is_sure: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Give dead letters of FLOW up. Those that are dealt with, and have no open one in front of them, are deleted, too."""
    from headrace.runtime.cli.output import plural, print_json
    from headrace.runtime.deadletters.change import purge as give_up

    if not (ids or stages or error or since or before or is_all):
        raise click.UsageError("name letters or choose them by --stage, --error or time, or --all")
    if as_json and not is_sure:
        raise click.UsageError("--json asks nobody; add --yes")
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    choice = choice_of(stages, error, since, before, ids=ids)
    with box_of(flow, flows, settings) as box:
        letters = [letter for letter, _ in box.letters(choice)]
        if letters and not is_sure:
            click.confirm(
                f"give {plural(len(letters), 'dead letter')} up? nobody can replay them any more",
                abort=True,
            )
        count = give_up(box, letters)
    if as_json:
        print_json({"purged": count})
    else:
        click.echo(
            f"{plural(count, 'dead letter')} given up" if count else "there is nothing to purge"
        )
