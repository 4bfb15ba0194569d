"""How a run shows that tasks wait for their state."""

from rich.text import Text

from headrace.runtime.cli.output import count, plural
from headrace.runtime.worker.processes import Report

BAR_WIDTH = 24


def restoring_text(report: Report) -> str:
    """`3 tasks wait for their state: 1,200 of 4,000 records (30 %), 410,000/s, 7 s left`; empty when none waits."""
    if not report.waiting:
        return ""
    verb = "waits for its" if report.waiting == 1 else "wait for their"
    text = f"{plural(report.waiting, 'task')} {verb} state"
    if not report.to_restore:
        return text
    text += f": {count(report.restored)} of {count(report.to_restore)} records"
    text += f" ({percent(report)} %), {count(report.restored_per_s)}/s"
    left_s = left(report)
    return text if left_s is None else f"{text}, {count(left_s)} s left"


def restoring_line(report: Report) -> Text | None:
    """The same as a bar and in fewer words, to fit on a terminal; None when no task waits."""
    if not report.waiting:
        return None
    line = Text()
    full = BAR_WIDTH * percent(report) // 100
    line.append("━" * full, style="green").append("━" * (BAR_WIDTH - full), style="dim")
    line.append(f"  restoring {plural(report.waiting, 'task')}", style="yellow")
    if report.to_restore:
        line.append(f": {percent(report)} %, {count(report.restored_per_s)}/s")
    left_s = left(report)
    return line if left_s is None else line.append(f", {count(left_s)} s left")


def percent(report: Report) -> int:
    """How much is restored, as a whole number that is 100 only when everything is."""
    return 100 * report.restored // report.to_restore if report.to_restore else 0


def left(report: Report) -> int | None:
    """Seconds until everything is restored, at the speed of now; None where nobody can tell."""
    missing = report.to_restore - report.restored
    return -(-missing // report.restored_per_s) if report.restored_per_s else None
