"""`headrace doctor`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    from headrace.runtime.cli.checks.finding import Finding, Status
    from headrace.runtime.contracts.broker import Admin, Broker
    from headrace.runtime.settings import WorkerSettings

STYLES: "dict[Status, str]" = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command(
    cls=Command, examples=["headrace doctor", "headrace doctor flows/ --brokers kafka:9092"]
)
@paths_argument(is_required=False)
@settings_options
@common_options
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Look for what keeps flows from running: the machine, the settings, the cluster, and with PATHS the flows' topics.

    Nothing is changed. Exits with 1 when a check fails; warnings do not count.
    """
    from headrace.runtime.cli.output import print_json, stdout

    findings: list[Finding] = []
    console = stdout()
    for finding in _findings(paths, assignments, config, brokers, prefix):
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.status:<4}", style=STYLES[finding.status], end="")
            console.print(f"  {finding.name}: {finding.text}", soft_wrap=True)
            if finding.remedy:
                console.print(f"      {finding.remedy}", style="dim", soft_wrap=True)
    is_well = all(finding.status != "fail" for finding in findings)
    if as_json:
        print_json({"ok": is_well, "checks": [finding.document() for finding in findings]})
    if not is_well:
        ctx.exit(EXIT_FAILED)


def _findings(
    paths: Sequence[str],
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
) -> "Iterator[Finding]":
    """Every finding, as soon as it is known; a check that cannot be made ends those that build on it."""
    from headrace.runtime.cli.checks.configuration import check_settings, check_sources
    from headrace.runtime.cli.checks.finding import fail
    from headrace.runtime.cli.checks.installation import check_installation, check_local_broker
    from headrace.runtime.errors import HeadraceError, SettingsError

    yield from check_installation()
    yield from check_local_broker()
    yield from check_sources(config)
    try:
        settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    except SettingsError as error:
        yield fail("settings", str(error), "correct them; `headrace run --help` names the options")
        return
    yield from check_settings(settings)
    try:
        yield from _cluster(paths, settings)
    except HeadraceError as error:
        yield fail("cluster", str(error), "see the broker's log; --brokers names another cluster")


def _cluster(paths: Sequence[str], settings: "WorkerSettings") -> "Iterator[Finding]":
    from headrace.runtime import brokers
    from headrace.runtime.cli.checks.finding import ok

    broker = brokers.connect(settings.engine, settings.brokers, settings.client)
    admin = broker.admin()
    try:
        cluster = admin.cluster()
        nodes = ", ".join(cluster.nodes)
        yield ok(
            "cluster", f"{cluster.cluster_id} answers, with {len(cluster.nodes)} nodes: {nodes}"
        )
        if paths:
            yield from _flows(paths, broker, admin, settings, len(cluster.nodes))
    finally:
        admin.close()


def _flows(
    paths: Sequence[str],
    broker: "Broker",
    admin: "Admin",
    settings: "WorkerSettings",
    nodes: int,
) -> "Iterator[Finding]":
    from headrace.runtime.cli.checks.finding import fail, ok
    from headrace.runtime.cli.checks.flow_topics import check_flow
    from headrace.runtime.cli.checks.workers import check_workers
    from headrace.runtime.cli.planning import plans_of
    from headrace.runtime.errors import FlowError

    try:
        plans = plans_of(paths, settings.prefix)
    except FlowError as error:
        for problem in error.problems:
            yield fail("flows", str(problem), "correct the document; `headrace validate` checks it")
        return
    yield ok("flows", ", ".join(plan.name for plan in plans))
    for plan in plans:
        yield from check_flow(plan, broker, admin, settings, nodes)
        yield from check_workers(plan, admin, settings)
