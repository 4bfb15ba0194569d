"""How a run shows that it lives: a table on a terminal, log lines elsewhere, JSON lines for programs."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headrace.runtime.cli.output import count, print_json_line
from headrace.runtime.cli.restoring import restoring_line, restoring_text
from headrace.runtime.plan import Plan
from headrace.runtime.worker.processes import Report

logger = logging.getLogger("headrace.run")

LOG_EVERY_S = 10.0
RATE_OVER_S = 5.0


@dataclass(frozen=True)
class Tick:
    """One look at a run, `seconds` after its start. `lags` are by group, as far as they are known."""

    seconds: float
    report: Report
    lags: Mapping[str, int]
    per_second: float


class Rate:
    """Records per second over the last five seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, seconds: float, records: int) -> float:
        """The rate after noting how many records there were by now."""
        self._seen.append((seconds, records))
        while len(self._seen) > 2 and self._seen[0][0] < seconds - RATE_OVER_S:
            self._seen.popleft()
        passed = seconds - self._seen[0][0]
        return (records - self._seen[0][1]) / passed if passed > 0 else 0.0


class Progress(Protocol):
    """Shows ticks, about one a second. `close` may be called again."""

    def show(self, tick: Tick) -> None: ...
    def close(self) -> None: ...


class NoProgress:
    """For `--quiet`."""

    def show(self, tick: Tick) -> None:
        """Say nothing."""

    def close(self) -> None:
        """There is nothing to close."""


class JsonProgress:
    """One JSON line on stdout per tick."""

    def show(self, tick: Tick) -> None:
        print_json_line(
            {
                "type": "progress",
                "seconds": round(tick.seconds, 3),
                "per_second": round(tick.per_second, 1),
                "lag": dict(tick.lags),
                **tick.report.document(),
            }
        )

    def close(self) -> None:
        """Every line is out already."""


class LogProgress:
    """One log line every ten seconds."""

    def __init__(self) -> None:
        self._next_s = LOG_EVERY_S

    def show(self, tick: Tick) -> None:
        if tick.seconds < self._next_s:
            return
        self._next_s = tick.seconds + LOG_EVERY_S
        report = tick.report
        lag = f", lag {sum(tick.lags.values()):,}" if tick.lags else ""
        waiting = f"; {restoring_text(report)}" if report.waiting else ""
        logger.info(
            "%s records read (%s/s), %s written, %s failed, %s commits%s%s",
            count(report.records_read),
            count(round(tick.per_second)),
            count(sum(report.written.values())),
            count(sum(report.failed.values())),
            count(report.commits),
            lag,
            waiting,
        )

    def close(self) -> None:
        """Every line is out already."""


class LiveProgress:
    """A table that changes in place, for a terminal."""

    def __init__(self, console: Console, plans: Sequence[Plan]) -> None:
        self._plans = plans
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, tick: Tick) -> None:
        self._live.update(live_table(self._plans, tick), refresh=True)

    def close(self) -> None:
        self._live.stop()


def live_table(plans: Sequence[Plan], tick: Tick) -> Group:
    """The worker in a line, and a row per flow."""
    report = tick.report
    line = Text(f"{count(report.records_read)} records read", style="bold")
    line.append(
        f"  {count(round(tick.per_second))}/s  {count(report.commits)} commits"
        f"  {report.partitions} partitions  {tick.seconds:.0f} s",
        style="not bold",
    )
    if report.aborts:
        line.append(f"  {report.aborts} aborted", style="yellow")
    table = Table(box=None, pad_edge=False)
    table.add_column("flow")
    for heading in ("written", "failed", "lag"):
        table.add_column(heading, justify="right")
    for plan in plans:
        written = sum(n for (flow, _), n in report.written.items() if flow == plan.name)
        failed = sum(n for (flow, _, _), n in report.failed.items() if flow == plan.name)
        table.add_row(
            Text(plan.name),
            count(written),
            Text(count(failed), style="yellow" if failed else ""),
            count(tick.lags.get(plan.group)),
        )
    restoring = restoring_line(report)
    return Group(line, table) if restoring is None else Group(line, restoring, table)
