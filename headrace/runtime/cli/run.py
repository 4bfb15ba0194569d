"""`headrace run`."""

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.failure import EXIT_INTERRUPTED, is_debugging
from headrace.runtime.cli.logs import LEVELS
from headrace.runtime.cli.options import (
    DurationType,
    common_options,
    paths_argument,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from headrace.runtime.cli.run_output import RunOutput
    from headrace.runtime.cli.running import Job
    from headrace.runtime.settings import WorkerSettings


@click.command(
    cls=Command,
    examples=[
        "headrace run flows/ --brokers kafka:9092",
        "headrace run orders.yaml --local --create-topics",
        "headrace run flows/ --processes 4 --instance-id worker-a",
        "headrace run flows/ --http 127.0.0.1:8080",
        "headrace run flows/ --until-idle 5s --json",
    ],
)
@paths_argument(is_required=True)
@settings_options
@click.option(
    "--create-topics", is_flag=True, default=None, help="Create missing topics that flows name."
)
@click.option(
    "--processing",
    type=click.Choice(["exactly_once", "at_least_once"]),
    help="What a crash may do to results.  [default: exactly_once]",
)
@click.option(
    "--commit-interval", metavar="DURATION", help="Longest time between commits, such as 100ms."
)
@click.option(
    "--instance-id", help="Static membership: a name of this worker that outlives restarts."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many worker processes to run.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Answer questions about state and health there, such as 127.0.0.1:8080.",
)
@click.option(
    "--local", is_flag=True, help="Use the local broker; start one for the run if need be."
)
@click.option(
    "--until-idle", type=DurationType(), help="Stop when no record has come for this long."
)
@click.option(
    "--log-level", type=click.Choice(LEVELS), help="Least level of log lines.  [default: info]"
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("--supervised", is_flag=True, hidden=True)
@common_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    assignments: Mapping[str, str],
    config: Path | None,
    processes: int,
    local: bool,
    until_idle: timedelta | None,
    log_level: str | None,
    quiet: bool,
    supervised: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run flows until they are stopped.

    PATHS are files and folders of flow documents; flows with `enabled: false` are left out. SIGTERM and Ctrl-C stop
    gracefully: what was read is processed and committed, then the group is left. A second signal ends it at once.

    With --json there is one JSON line per second, and one with the summary at the end. A run that was stopped with
    SIGTERM, or with --until-idle, exits with 0; one that was stopped with Ctrl-C with 130.
    """
    from headrace.runtime.cli.logs import hide_logs, show_logs
    from headrace.runtime.cli.output import stderr
    from headrace.runtime.cli.run_output import RunOutput
    from headrace.runtime.cli.worker_commands import worker_command

    if local and options["brokers"] is not None:
        raise click.UsageError("--local and --brokers name two brokers; leave one out")
    output = RunOutput(stderr(), is_quiet=quiet, is_json=as_json)
    level = log_level or ("warning" if quiet else "info")
    handler = show_logs(output.console, level, shows_tracebacks=is_debugging(ctx))
    try:
        with ExitStack() as stack:
            if local:
                from headrace.runtime.cli.local import local_brokers

                options["brokers"] = stack.enter_context(local_brokers())
            settings = settings_of(assignments, config, **options)
            command = None
            if processes > 1:
                command = worker_command(paths, assignments, config, options, level, until_idle)
            number = _run(paths, settings, output, until_idle, processes, command, supervised)
    finally:
        hide_logs(handler)
    if number == signal.SIGINT:
        ctx.exit(EXIT_INTERRUPTED)


def _run(
    paths: Sequence[str],
    settings: "WorkerSettings",
    output: "RunOutput",
    until_idle: timedelta | None,
    processes: int,
    command: list[str] | None,
    is_supervised: bool,
) -> int | None:
    """Run to the end, and return the signal that stopped it, if one did.

    Raises:
        HeadraceError: what ended it.
    """
    from headrace.runtime import brokers
    from headrace.runtime.cli.lag import LagWatch
    from headrace.runtime.cli.planning import plans_of
    from headrace.runtime.cli.running import Run, WorkerJob, run_async
    from headrace.runtime.cli.worker_commands import worker_commands
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.errors import SettingsError
    from headrace.runtime.worker.processes import Supervisor
    from headrace.runtime.worker.worker import Worker

    plans = [plan for plan in plans_of(paths, settings.prefix) if plan.graph.flow.enabled]
    if settings.engine == "memory":
        raise SettingsError(
            "the topics of engine 'memory' are empty when a run begins, and nobody else can write to them;"
            " `headrace test` runs flows on test cases, `headrace run --local` on a broker of this machine"
        )
    broker = brokers.connect(settings.engine, settings.brokers, settings.client)
    job: Job
    if command is None:
        flows = [plan.graph.flow for plan in plans]
        worker = Worker(flows, settings=settings, broker=broker)
        job = WorkerJob(worker, until_idle, SystemClock())
    else:
        job = Supervisor(
            worker_commands(
                command, processes, settings.instance_id, settings.http, settings.http_advertise
            ),
            stop_timeout_s=settings.stop_timeout.total_seconds(),
            said=output.said,
        )
    watch = LagWatch(broker, sorted({plan.group for plan in plans}), settings.client)
    if output.shows_lag and not is_supervised:
        watch.start()
    run = Run(job, output.progress(plans), lags=lambda: watch.lags, note=output.note)
    try:
        run_async(run.drive(is_supervised=is_supervised))
    finally:
        watch.stop()
        # A run that could not begin has nothing to sum up; its error says it all.
        if not is_supervised and (sys.exception() is None or job.report().records_read):
            output.summary(plans, job.report(), run.seconds)
    return run.interrupted_by
