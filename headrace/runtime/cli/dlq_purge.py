"""`headrace dlq purge`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.letters import box_of, choice_of, choice_options, require_choice
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
    is_all: bool,
    is_sure: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Give dead letters of FLOW up. Those that are dealt with, and have no open one in front of them, are deleted, too."""
    from headrace.runtime.cli.output import plural, print_json
    from headrace.runtime.deadletters.change import purge as give_up

    require_choice(ids, chosen, is_all=is_all, is_sure=is_sure, as_json=as_json)
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    choice = choice_of(ids=ids, **chosen)
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
