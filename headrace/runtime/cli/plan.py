"""`headrace plan`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.failure import EXIT_FAILED
from headrace.runtime.cli.options import (
    common_options,
    paths_argument,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from headrace.runtime.cli.live_plan import LivePlan
    from headrace.runtime.plan import Plan
    from headrace.runtime.settings import WorkerSettings


@click.command(
    cls=Command,
    examples=[
        "headrace plan flows/",
        "headrace plan flows/orders.yaml --code",
        "headrace plan flows/orders.yaml --dot | dot -Tsvg > orders.svg",
        "headrace plan flows/ --brokers 127.0.0.1:9092",
        "headrace plan flows/orders.yaml --against flows/orders.before.yaml",
        "headrace plan flows/ --against group --brokers kafka:9092",
    ],
)
@paths_argument(is_required=True)
@click.option("--dot", "shown", flag_value="dot", help="Write a Graphviz graph.")
@click.option("--mermaid", "shown", flag_value="mermaid", help="Write a Mermaid flowchart.")
@click.option("--code", "shown", flag_value="code", help="Write the generated Python code.")
@click.option("--live", is_flag=True, help="Look at the topics of the cluster, too.")
@click.option(
    "--against",
    metavar="PATH|group",
    help="Show what becomes of state: against earlier documents, or the state of the running groups.",
)
@settings_options
@common_options
@click.pass_context
def plan(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    shown: str | None,
    live: bool,
    against: str | None,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Show what flows compile to: which stages run together, which topics there are and why.

    With --live or --brokers it also looks at the cluster: which topics exist, which ones `run --create-topics` would
    create, and which would delete what a flow writes because its event times are too old.

    With --against it tells, stage by stage, whether state is kept, and exits with 1 when a worker would refuse to start.
    """
    from headrace.runtime.cli.planning import plans_of

    if as_json and shown not in (None, "code"):
        raise click.UsageError(f"--{shown} is a text of its own; leave out --json or --{shown}")
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plans = plans_of(paths, settings.prefix)
    if against is not None:
        if shown is not None or live:
            raise click.UsageError("--against is a report of its own; leave out the other ones")
        _print_evolution(ctx, plans, against, settings, as_json=as_json)
        return
    if shown == "code":
        _print_code(plans, as_json=as_json)
    elif shown is not None:
        click.echo("\n\n".join(map(_drawing(shown), plans)))
    else:
        from headrace.runtime.cli.live_plan import look_at_cluster

        found = look_at_cluster(plans, settings) if live or brokers is not None else None
        _print_plans(plans, found, as_json=as_json)


def _drawing(kind: str) -> "Callable[[Plan], str]":
    from headrace.runtime.plan.dot import plan_dot
    from headrace.runtime.plan.mermaid import plan_mermaid

    return plan_dot if kind == "dot" else plan_mermaid


def _print_evolution(
    ctx: click.Context,
    plans: "Sequence[Plan]",
    against: str,
    settings: "WorkerSettings",
    *,
    as_json: bool,
) -> None:
    from headrace.runtime.cli.against import GROUP, evolutions
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.plan.evolution_text import evolution_document, evolution_text

    found = evolutions(plans, against, settings)
    what = "the running group" if against == GROUP else against
    if as_json:
        print_json(evolution_document(found, against))
    else:
        click.echo(evolution_text(found, what))
    if not all(one.can_roll_out for one in found):
        ctx.exit(EXIT_FAILED)


def _print_plans(plans: "Sequence[Plan]", live: "LivePlan | None", *, as_json: bool) -> None:
    from headrace.runtime.cli.output import print_json, stderr
    from headrace.runtime.plan.as_json import plan_document
    from headrace.runtime.plan.text import plan_text

    topics = live.topics if live else None
    if as_json:
        document: dict[str, Any] = {"plans": [plan_document(plan, topics) for plan in plans]}
        if live:
            document["would_create"] = [new._asdict() for new in live.would_create]
            document["live_warnings"] = list(live.warnings)
        print_json(document)
        return
    click.echo("\n\n\n".join(plan_text(plan, topics) for plan in plans))
    if live is None:
        return
    if live.would_create:
        click.echo("\nrun --create-topics would create")
        for new in live.would_create:
            config = "".join(f", {name}={value}" for name, value in new.config.items())
            click.echo(f"  {new.name}  {new.partitions} partitions{config}")
    for warning in live.warnings:
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)


def _print_code(plans: "Sequence[Plan]", *, as_json: bool) -> None:
    from rich.syntax import Syntax

    from headrace.runtime.cli.output import print_json, stdout
    from headrace.runtime.codegen import modules_of

    modules = [(plan.name, module) for plan in plans for module in modules_of(plan)]
    if as_json:
        documents = [
            {"flow": flow, "name": module.label, "source": module.source}
            for flow, module in modules
        ]
        print_json({"modules": documents})
        return
    console = stdout()
    for _, module in modules:
        text = f"# {module.file_name}\n{module.source.rstrip()}\n"
        if console.is_terminal and not console.no_color:
            console.print(Syntax(text, "python", background_color="default"), soft_wrap=True)
        else:
            click.echo(text)
