"""`headrace dlq replay`."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.failure import EXIT_FAILED
from headrace.runtime.cli.letters import box_of_plan, choice_of, choice_options, require_choice
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.deadletters import Refusal, Replay

REASONS_SHOWN = 5


@click.command(
    cls=Command,
    examples=[
        "headrace dlq replay flows/orders.yaml 0-17 0-18",
        "headrace dlq replay orders --flows flows/ --stage totals --error 'no field'",
    ],
)
@flow_argument
@click.argument("ids", nargs=-1)
@choice_options
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.option("--limit", type=click.IntRange(1), help="How many at most.")
@click.option(
    "--from-source",
    is_flag=True,
    help="Send the records to the topics that they were read from, not their events to the stages.",
)
@click.option(
    "--repeat",
    is_flag=True,
    help="Also those for which stages would repeat what they have done already.",
)
@click.option("--now", "is_now", is_flag=True, help="Give records the time of now.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@settings_options
@common_options
def replay(
    flow: str,
    flows: tuple[str, ...],
    ids: tuple[str, ...],
    is_all: bool,
    limit: int | None,
    from_source: bool,
    repeat: bool,
    is_now: bool,
    is_sure: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Send dead letters of FLOW back to where they failed; FLOW is a document or, with --flows, a name.

    An event goes on at the stage it failed at, and no other stage sees it again: once, whatever happens meanwhile. A record that
    could not even be read goes to its topic again, and with --from-source every record does: all stages work on it anew then.
    Where some would do again what they have done already, the letter stays, unless you --repeat. A trigger's topic may have other
    readers, which see the record again.
    """
    from headrace.runtime.cli.one_flow import plan_of_flow
    from headrace.runtime.cli.output import plural, print_json
    from headrace.runtime.deadletters import Replay

    require_choice(ids, chosen, is_all=is_all, is_sure=is_sure, as_json=as_json)
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plan = plan_of_flow(flow, flows, settings.prefix)
    choice = choice_of(ids=ids, **chosen)
    with box_of_plan(plan, settings) as box:
        letters = [letter for letter, _ in islice(box.letters(choice), limit)]
        missing = [one for one in ids if one not in {letter.id for letter in letters}]
        if missing:
            raise click.ClickException(
                f"there is no open dead letter {', '.join(missing)}; see headrace dlq ls --all"
            )
        if letters and not is_sure and len(letters) > 1:
            click.confirm(f"replay {plural(len(letters), 'dead letter')}?", abort=True)
        replaying = Replay(box, plan, from_source=from_source, repeats=repeat, is_now=is_now)
        refusals = list(replaying.send(letters)) if letters else []
    if as_json:
        print_json(
            {
                "replayed": replaying.written,
                "refused": [{"id": one.letter.id, "reason": one.reason} for one in refusals],
            }
        )
    else:
        _print_text(replaying, refusals)
    if refusals:
        raise click.exceptions.Exit(EXIT_FAILED)


def _print_text(replaying: "Replay", refusals: "Sequence[Refusal]") -> None:
    from headrace.runtime.cli.output import plural, stderr

    for topic, count in replaying.written.items():
        click.echo(f"{plural(count, 'letter')} went to '{topic}'")
    if not replaying.written and not refusals:
        click.echo("there is nothing to replay")
    console = stderr()
    reasons: dict[str, list[str]] = {}
    for one in refusals:
        reasons.setdefault(one.reason, []).append(one.letter.id)
    for reason, ids in list(reasons.items())[:REASONS_SHOWN]:
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        console.print(f"not replayed: {', '.join(ids[:3])}{more}: {reason}", soft_wrap=True)
    if len(reasons) > REASONS_SHOWN:
        console.print(f"and {len(reasons) - REASONS_SHOWN} more reasons; see --json")
