"""What a run did, at its end."""

import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from headrace.runtime.cli.output import Cell, count, plural, print_table
from headrace.runtime.plan import Plan
from headrace.runtime.worker.processes import Report

FATES = {
    "dead_letter": "to dead letters",
    "skip": "skipped",
    "fail": "stopped the flow",
    "stage": "to another stage",
}


def print_summary(console: Console, plans: Sequence[Plan], report: Report, seconds: float) -> None:
    """A table of stages that wrote or failed, the totals, and where to look next."""
    rows = [row for plan in plans for row in _rows(plan, report)]
    if rows:
        print_table(console, ["flow", "stage", "written", "failed"], rows, "  >")
    rate = count(round(report.records_read / seconds)) if seconds > 0 else "0"
    aborted = f", {plural(report.aborts, 'transaction')} aborted" if report.aborts else ""
    console.print(
        f"{plural(report.records_read, 'record')} read in {seconds:.1f} s ({rate}/s),"
        f" {plural(report.commits, 'commit')}{aborted}",
        soft_wrap=True,
    )
    for plan in plans:
        letters = dead_letters(plan, report)
        if letters:
            console.print(
                f"flow '{plan.name}': {plural(letters, 'record')} in '{plan.dead_letter_topic}';"
                f" headrace dlq ls {shlex.quote(plan.name)} tells why",
                style="yellow",
                soft_wrap=True,
            )


def summary_document(plans: Sequence[Plan], report: Report, seconds: float) -> dict[str, Any]:
    """The same as plain data, with the keys of a progress line."""
    return {
        "type": "summary",
        "seconds": round(seconds, 3),
        "per_second": round(report.records_read / seconds, 1) if seconds > 0 else 0.0,
        **report.document(),
        "dead_letters": {
            plan.name: {"topic": plan.dead_letter_topic, "records": dead_letters(plan, report)}
            for plan in plans
            if dead_letters(plan, report)
        },
    }


def dead_letters(plan: Plan, report: Report) -> int:
    """How many records of a flow went to its dead-letter topic."""
    return sum(
        n
        for (flow, _, fate), n in report.failed.items()
        if flow == plan.name and fate == "dead_letter"
    )


def _rows(plan: Plan, report: Report) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for node in plan.graph.nodes:
        written = report.written.get((plan.name, node.name))
        fates = {
            fate: n
            for (flow, stage, fate), n in report.failed.items()
            if (flow, stage) == (plan.name, node.name)
        }
        if written is None and not fates:
            continue
        failed = ", ".join(f"{n:,} {FATES.get(fate, fate)}" for fate, n in fates.items())
        rows.append([plan.name, node.name, "" if written is None else count(written), failed])
    return rows
