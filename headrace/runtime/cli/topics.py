"""`headrace topics`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import (
    common_options,
    paths_argument,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from headrace.runtime.cli.lag import LagLook
    from headrace.runtime.contracts.broker import Admin, TopicDescription, TopicPartition
    from headrace.runtime.plan import Plan


@dataclass(frozen=True)
class Listed:
    """One topic of the list; `topic` is None where a flow names one that does not exist."""

    name: str
    roles: tuple[str, ...]  # flow: role
    topic: "TopicDescription | None"
    records: int | None


@dataclass(frozen=True)
class GroupLag:
    """How far one group is behind; `partitions` are those that it has a position for."""

    group: str
    flows: tuple[str, ...]
    partitions: "Mapping[TopicPartition, int]"

    @property
    def total(self) -> int:
        return sum(self.partitions.values())


@click.command(
    cls=Command,
    examples=["headrace topics --brokers kafka:9092", "headrace topics flows/ --json"],
)
@paths_argument(is_required=False)
@settings_options
@common_options
def topics(
    paths: tuple[str, ...],
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """List the topics of the cluster, or with PATHS those of flows and how far the flows are behind.

    `records` counts offsets from the beginning to the end, so what compaction or a transaction left behind counts as well.
    """
    from headrace.runtime import brokers as connecting
    from headrace.runtime.cli.lag import LagLook

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plans = _plans(paths, settings.prefix)
    broker = connecting.connect(settings.engine, settings.brokers, settings.client)
    admin = broker.admin()
    try:
        listed = _listed(admin, plans)
        with LagLook(broker, admin, settings.client) as look:
            groups = _groups(look, plans)
    finally:
        admin.close()
    if as_json:
        _print_json(listed, groups, has_flows=bool(plans))
    else:
        _print_text(listed, groups, has_flows=bool(plans))


def _plans(paths: Sequence[str], prefix: str) -> "list[Plan]":
    if not paths:
        return []
    from headrace.runtime.cli.planning import plans_of

    return plans_of(paths, prefix)


def _listed(admin: "Admin", plans: "Sequence[Plan]") -> list[Listed]:
    from headrace.runtime.cli.planning import roles_of

    existing = admin.topics()
    roles = roles_of(plans, existing)
    names = list(roles) if plans else list(existing)
    described = admin.describe(names)
    records = records_of(admin, described.values())
    return [
        Listed(name, roles.get(name, ()), described.get(name), records.get(name)) for name in names
    ]


def records_of(admin: "Admin", described: "Iterable[TopicDescription]") -> dict[str, int]:
    """How many offsets there are from the beginning to the end of each topic."""
    from headrace.runtime.contracts.broker import TopicPartition

    partitions = [TopicPartition(t.name, i) for t in described for i in range(t.partitions)]
    if not partitions:
        return {}
    begin, end = admin.offsets(partitions, "earliest"), admin.offsets(partitions, "latest")
    found: dict[str, int] = {}
    for partition in partitions:
        count = max(0, end[partition] - begin[partition])
        found[partition.topic] = found.get(partition.topic, 0) + count
    return found


def _groups(look: "LagLook", plans: "Sequence[Plan]") -> list[GroupLag]:
    flows: dict[str, list[str]] = {}
    for plan in plans:
        flows.setdefault(plan.group, []).append(plan.name)
    found = look.lags(flows)
    return [GroupLag(group, tuple(names), found[group]) for group, names in flows.items()]


def _print_text(listed: Sequence[Listed], groups: Sequence[GroupLag], *, has_flows: bool) -> None:
    from headrace.runtime.cli.output import count, print_table, stdout
    from headrace.runtime.cli.planning import kept_for

    console = stdout()
    headings = ["topic", "partitions", "records", "kept for", "cleanup"]
    rows = [
        [
            each.name,
            count(each.topic.partitions) if each.topic else "missing",
            count(each.records),
            kept_for(each.topic.retention_ms) if each.topic else "-",
            each.topic.config.get("cleanup.policy", "-") if each.topic else "-",
            *([", ".join(each.roles)] if has_flows else []),
        ]
        for each in listed
    ]
    print_table(console, headings + (["role"] if has_flows else []), rows, " >>")
    if not has_flows:
        return
    console.print()
    behind: list[list[str]] = [
        [
            lag.group,
            ", ".join(lag.flows),
            f"{lag.total:,}" if lag.partitions else "not started",
            str(len(lag.partitions)),
        ]
        for lag in groups
    ]
    print_table(console, ["group", "flows", "lag", "partitions"], behind, "  >>")


def _print_json(listed: Sequence[Listed], groups: Sequence[GroupLag], *, has_flows: bool) -> None:
    from headrace.runtime.cli.output import print_json

    document: dict[str, Any] = {
        "topics": [
            {
                "name": each.name,
                "exists": each.topic is not None,
                "roles": list(each.roles),
                "partitions": each.topic.partitions if each.topic else None,
                "replication_factor": each.topic.replication_factor if each.topic else None,
                "records": each.records,
                "retention_ms": each.topic.retention_ms if each.topic else None,
                "cleanup": each.topic.config.get("cleanup.policy") if each.topic else None,
            }
            for each in listed
        ]
    }
    if has_flows:
        document["groups"] = [
            {
                "group": lag.group,
                "flows": list(lag.flows),
                "lag": lag.total if lag.partitions else None,
                "partitions": {str(partition): n for partition, n in lag.partitions.items()},
            }
            for lag in groups
        ]
    print_json(document)
