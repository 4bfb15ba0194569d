"""`headrace reset`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import (
    common_options,
    paths_argument,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from headrace.runtime.contracts.broker import Admin
    from headrace.runtime.plan import Plan

GONE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Doomed:
    """A topic that would be deleted. `unread` are records in it that no worker has read yet."""

    name: str
    records: int
    unread: int


@click.command(
    cls=Command,
    examples=[
        "headrace reset flows/orders.yaml --stage totals",
        "headrace reset flows/ --orphaned --yes",
    ],
)
@paths_argument(is_required=True)
@click.option("--stage", "stages", multiple=True, help="A stage whose state is thrown away.")
@click.option("--orphaned", is_flag=True, help="Delete the topics that no stage has any more.")
@click.option("--flow", help="The flow, where several have a stage of this name.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@settings_options
@common_options
def reset(
    paths: tuple[str, ...],
    stages: tuple[str, ...],
    orphaned: bool,
    flow: str | None,
    is_sure: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Throw the state of a stage away, so that it begins empty.

    Its changelog is deleted, and the repartition topic in front of it with what is on its way there. What the flow has
    read stays read: the stage goes on with the next records. All workers of the flow must be stopped.
    """
    from headrace.runtime import brokers as connecting
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.cli.planning import plans_of

    if not stages and not orphaned:
        raise click.UsageError("name a --stage, or ask for what is --orphaned")
    if as_json and not is_sure:
        raise click.UsageError("--json asks nobody; add --yes")
    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plans = [one for one in plans_of(paths, settings.prefix) if flow in (None, one.name)]
    if not plans:
        raise click.UsageError(f"there is no flow '{flow}' in these paths")
    chosen = [_with_stage(plans, stage) for stage in stages]
    admin = connecting.connect(settings.engine, settings.brokers, settings.client).admin()
    try:
        existing = admin.topics()
        names = [topic for plan, stage in chosen for topic in _topics_of(plan, stage)]
        if orphaned:
            names += [topic for plan in plans for topic in _orphans(plan, plans, existing, admin)]
        _refuse_members(plans if orphaned else [plan for plan, _ in chosen], admin)
        doomed = _doomed([name for name in dict.fromkeys(names) if name in existing], plans, admin)
        if doomed and not as_json:
            _tell(doomed)
        if doomed and not is_sure:
            click.confirm("delete them?", abort=True)
        _delete([one.name for one in doomed], admin)
    finally:
        admin.close()
    if as_json:
        print_json({"deleted": [vars(one) for one in doomed]})
    else:
        click.echo(f"deleted {len(doomed)} topics" if doomed else "there is nothing to delete")


def _with_stage(plans: "Sequence[Plan]", stage: str) -> "tuple[Plan, str]":
    """The only flow that keeps state in a stage of this name."""
    from headrace.runtime.flow import did_you_mean

    found = [plan for plan in plans if any(store.stage == stage for store in plan.stores)]
    if len(found) > 1:
        flows = ", ".join(f"'{plan.name}'" for plan in found)
        raise click.UsageError(f"several flows have a stage '{stage}': {flows}; name the --flow")
    if not found:
        known = [store.stage for plan in plans for store in plan.stores]
        hint = did_you_mean(stage, known) or f"; there are {', '.join(known) or 'none'}"
        raise click.UsageError(f"no stage '{stage}' keeps state{hint}")
    return found[0], stage


def _topics_of(plan: "Plan", stage: str) -> list[str]:
    return [
        topic.name
        for topic in plan.topics
        if topic.name and topic.role in ("changelog", "repartition") and topic.stages == (stage,)
    ]


def _orphans(
    plan: "Plan", plans: "Sequence[Plan]", existing: Mapping[str, int], admin: "Admin"
) -> list[str]:
    from headrace.runtime.cli.against import topics_of_stages
    from headrace.runtime.plan.evolution import EarlierStage, evolution

    found = topics_of_stages(plan, plans, existing, admin)
    earlier = {slug: EarlierStage(topics=topics) for slug, topics in found.items()}
    changes = evolution(plan, earlier).changes
    return [topic for change in changes if change.status == "orphaned" for topic in change.topics]


def _refuse_members(plans: "Sequence[Plan]", admin: "Admin") -> None:
    for group in dict.fromkeys(plan.group for plan in plans):
        members = admin.group_members(group)
        if members:
            raise click.ClickException(
                f"group '{group}' has {len(members)} members, which write to these topics: stop the workers first (one that was"
                " killed is forgotten after its session_timeout)"
            )


def _doomed(names: Sequence[str], plans: "Sequence[Plan]", admin: "Admin") -> list[Doomed]:
    from headrace.runtime.cli.lag import lags
    from headrace.runtime.cli.topics import records_of

    records = records_of(admin, admin.describe(names).values()) if names else {}
    unread: dict[str, int] = {}
    for of_group in lags(admin, dict.fromkeys(plan.group for plan in plans)).values():
        for partition, count in of_group.items():
            unread[partition.topic] = unread.get(partition.topic, 0) + count
    return [Doomed(name, records.get(name, 0), unread.get(name, 0)) for name in names]


def _tell(doomed: Sequence[Doomed]) -> None:
    from headrace.runtime.cli.output import count, print_table, stdout

    rows = [[one.name, count(one.records), count(one.unread)] for one in doomed]
    print_table(stdout(), ["topic", "records", "unread"], rows, " >>")


def _delete(names: Sequence[str], admin: "Admin") -> None:
    """Delete topics and wait until they are gone, so that a worker that starts now makes new ones."""
    if not names:
        return
    from headrace.runtime.clock import SystemClock

    clock = SystemClock()
    admin.delete(names)
    deadline_s = clock.monotonic_s() + GONE_TIMEOUT_S
    while set(names) & set(admin.topics()) and clock.monotonic_s() < deadline_s:
        clock.sleep(0.1)
