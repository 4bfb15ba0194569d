"""`headrace cdc`: captures of databases."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.one_flow import flow_argument, plan_of_flow
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.contracts.capture import CaptureOperation, CaptureStatus
    from headrace.runtime.contracts.feed import Feed
    from headrace.runtime.plan import Plan

EXIT_FAILED = 1
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
Called = TypeVar("Called", bound=Callable[..., Any])


@click.group()
def cdc() -> None:
    """Look after stages with the action cdc. Every command answers in JSON with --json.

    \b
    Example:
      headrace cdc check flows/replica.yaml
      headrace cdc status flows/replica.yaml
    """  # noqa: D301 # click reads the backspace itself


def about_stage(command: Called) -> Called:
    """`FLOW`, `--stage` and the options of every command here."""
    stage = click.option("--stage", help="The stage, where the flow captures several databases.")
    return flow_argument(stage(settings_options(common_options(command))))


@cdc.command(cls=Command, examples=["headrace cdc check replica", "headrace cdc check flow.yaml"])
@about_stage
@click.pass_context
def check(ctx: click.Context, /, as_json: bool, **where: Any) -> None:
    """Look at all that must be so in the database: settings, privileges, slot, publication, keys.

    Nothing is changed. Exits with 1 when something must be done; warnings do not count.
    """
    from headrace.runtime.cli.output import print_json, stdout

    with capture(**where) as operation:
        findings = operation.check()
    is_well = all(one.level != "error" for one in findings)
    if as_json:
        print_json({"ok": is_well, "checks": [vars(one) for one in findings]})
    else:
        console = stdout()
        for one in findings:
            console.print(f"{one.level:<7}", style=STYLES[one.level], end="")
            console.print(f"  {one.subject}: {one.text}", soft_wrap=True)
    if not is_well:
        ctx.exit(EXIT_FAILED)


@cdc.command(cls=Command, examples=["headrace cdc status replica --brokers kafka:9092"])
@about_stage
def status(as_json: bool, **where: Any) -> None:
    """Show how far a capture is, and how much log the database keeps for it."""
    from headrace.runtime.cli.output import print_json

    with capture(**where) as operation:
        found = operation.status()
    if as_json:
        print_json(vars(found))
    else:
        _tell(found)


def _tell(found: "CaptureStatus") -> None:
    from headrace.runtime.cli.output import print_table, stdout

    rows = [["phase", found.phase]]
    rows += [[name, str(value)] for name, value in found.position.items()]
    rows += [[name, f"{value:,.0f}"] for name, value in found.figures.items()]
    rows += [["tables", ", ".join(found.tables) or "-"]]
    rows += [[f"snapshot of {name}", f"{count:,} rows"] for name, count in found.pending.items()]
    rows += [["note", text] for text in found.notes]
    print_table(stdout(), ["what", "value"], rows)


@cdc.command(
    cls=Command,
    examples=[
        "headrace cdc snapshot replica public.orders",
        "headrace cdc snapshot replica public.orders --where \"status = 'open'\"",
        "headrace cdc snapshot replica --all",
    ],
)
@about_stage
@click.argument("tables", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All tables.")
@click.option("--where", "condition", help="An SQL condition that the rows meet.")
def snapshot(
    tables: tuple[str, ...], is_all: bool, condition: str | None, as_json: bool, **where: Any
) -> None:
    """Ask the worker to read the rows of TABLES again, while changes go on coming in.

    For a capture that has lost changes, this is the way on: with --all it begins anew.
    """
    from headrace.runtime.cli.output import print_json

    if bool(tables) == is_all:
        raise click.UsageError("name tables, or ask for --all")
    with capture(**where) as operation:
        asked = operation.ask_for_snapshot(tables, condition)
    if as_json:
        print_json({"tables": list(asked)})
    else:
        click.echo(f"asked for the rows of {', '.join(asked)}")


@cdc.command(cls=Command, examples=["headrace cdc pause replica"])
@about_stage
def pause(as_json: bool, **where: Any) -> None:
    """Let the connector in Kafka Connect rest, with its tasks and connections kept. The database keeps its log meanwhile."""
    _rest(as_json, is_resting=True, **where)


@cdc.command(cls=Command, examples=["headrace cdc resume replica"])
@about_stage
def resume(as_json: bool, **where: Any) -> None:
    """Let the connector in Kafka Connect go on."""
    _rest(as_json, is_resting=False, **where)


def _rest(as_json: bool, *, is_resting: bool, **where: Any) -> None:
    from headrace.runtime.cli.output import print_json

    with capture(**where) as operation:
        what = operation.rest(is_resting=is_resting)
    if as_json:
        print_json({"paused" if is_resting else "resumed": what})
    else:
        click.echo(f"{what} {'rests' if is_resting else 'goes on'}")


@cdc.command("drop-slot", cls=Command, examples=["headrace cdc drop-slot replica"])
@about_stage
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
def drop_slot(is_sure: bool, as_json: bool, **where: Any) -> None:
    """Remove what a capture has made in the database, so that it keeps no log for it any more.

    The worker must be stopped. The capture can go on only with a new snapshot.
    """
    from headrace.runtime.cli.output import print_json

    if as_json and not is_sure:
        raise click.UsageError("--json asks nobody; add --yes")
    with capture(**where) as operation:
        if not is_sure:
            click.confirm(
                "changes since the last one that was captured are lost; drop it?", abort=True
            )
        removed = operation.drop()
    if as_json:
        print_json({"removed": list(removed)})
    else:
        click.echo(f"removed {', '.join(removed)}" if removed else "there is nothing to remove")


@contextmanager
def capture(
    flow: str,
    flows: tuple[str, ...],
    stage: str | None,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
) -> "Iterator[CaptureOperation]":
    """The capture that a command is about."""
    from threading import Event

    from headrace.runtime import brokers as connecting
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.contracts.capture import Captures
    from headrace.runtime.environment import Values
    from headrace.runtime.worker.feeds import place_of

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plan = plan_of_flow(flow, flows, settings.prefix)
    name, feed = _chosen(plan, stage)
    if not isinstance(feed, Captures):
        raise click.UsageError(f"stage '{name}' has an engine that looks after itself")
    place = place_of(
        plan,
        name,
        feed,
        settings=settings,
        broker=connecting.connect(settings.engine, settings.brokers, settings.client),
        values=Values(),
        clock=SystemClock(),
        stopped=Event(),
        report=lambda _: None,
    )
    yield feed.operation(place)


def _chosen(plan: "Plan", stage: str | None) -> "tuple[str, Feed]":
    """The stage that captures a database; the one of that name, or the only one."""
    from headrace.runtime.plan import feeds_of

    found = [
        (name, feed)
        for name, feed in feeds_of(plan)
        if hasattr(feed, "operation") and stage in (None, name)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"'{name}'" for name, _ in found)
    if found:
        raise click.UsageError(f"flow '{plan.name}' captures in {names}; name the --stage")
    wanted = f"no stage '{stage}' that captures" if stage else "no stage that captures"
    raise click.UsageError(f"flow '{plan.name}' has {wanted} a database (action: cdc)")
