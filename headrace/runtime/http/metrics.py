"""What a worker counts, in Prometheus' text format (version 0.0.4)."""

from collections.abc import Iterable, Mapping

from headrace.runtime.clock import Clock
from headrace.runtime.errors import ClosedError, StoreCorruptError
from headrace.runtime.http.overview import health, size_of, watermark_of
from headrace.runtime.http.stages import Stage
from headrace.runtime.worker.member import Member
from headrace.runtime.worker.worker import Worker

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS: Mapping[str, tuple[str, str]] = {
    "headrace_live": ("gauge", "1 while no flow of the worker has failed."),
    "headrace_ready": ("gauge", "1 while no task waits for its state."),
    "headrace_records_read_total": ("counter", "Records read."),
    "headrace_records_written_total": ("counter", "Records written by a stage."),
    "headrace_records_failed_total": ("counter", "Records that failed in a stage, and their fate."),
    "headrace_records_late_total": ("counter", "Records that came too late for a stage."),
    "headrace_commits_total": ("counter", "Transactions committed."),
    "headrace_aborts_total": ("counter", "Transactions aborted."),
    "headrace_rejoins_total": ("counter", "Times the group was joined anew."),
    "headrace_partitions": ("gauge", "Partitions assigned."),
    "headrace_lag_records": (
        "gauge",
        "Offsets between what was read of a partition and its end.",
    ),
    "headrace_tasks": ("gauge", "Tasks with state, by what they do."),
    "headrace_watermark_lag_seconds": (
        "gauge",
        "How far event time is behind the clock, per task.",
    ),
    "headrace_restored_records": ("gauge", "Records restored so far."),
    "headrace_restore_lag_records": ("gauge", "Records that are still to be restored."),
    "headrace_restore_records_per_second": ("gauge", "Speed of restoring."),
    "headrace_restore_left_seconds": ("gauge", "When restoring will be over, where that is known."),
    "headrace_store_bytes": ("gauge", "About what the store occupies."),
    "headrace_calls_total": ("counter", "Records that a stage has called the outside for."),
    "headrace_call_failures_total": ("counter", "Calls that failed, tried again or not."),
    "headrace_call_retries_total": ("counter", "Records that were left to be tried again."),
    "headrace_call_seconds_total": ("counter", "Time that calls took; batches count once."),
    "headrace_calls_in_flight": ("gauge", "Records that are being called for."),
    "headrace_circuit_open": ("gauge", "1 while a target is not called, 0.5 while it is probed."),
    "headrace_feed_state": ("gauge", "1 for the state that a trigger's feed is in here."),
    "headrace_feed": ("gauge", "A figure of a trigger's feed, such as lag_bytes."),
}


OPEN = {"closed": 0, "half_open": 0.5, "open": 1}


class Metrics:
    """The lines of one scrape, in the order of `METRICS`."""

    def __init__(self) -> None:
        self._samples: dict[str, list[str]] = {name: [] for name in METRICS}

    def add(self, name: str, value: float, **labels: object) -> None:
        """Add one sample."""
        told = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
        number = int(value) if float(value).is_integer() else value
        self._samples[name].append(f"{name}{{{told}}} {number}" if told else f"{name} {number}")

    def text(self) -> str:
        """All samples, with what they mean."""
        lines: list[str] = []
        for name, samples in self._samples.items():
            kind, meaning = METRICS[name]
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"


def metrics(worker: Worker, stages: Iterable[Stage], clock: Clock) -> str:
    """What `GET /metrics` tells."""
    found = Metrics()
    well = health(worker)
    found.add("headrace_live", well["live"])
    found.add("headrace_ready", well["ready"])
    for member in worker.members:
        done, group = member.statistics, member.group
        found.add("headrace_records_read_total", done.records_read, group=group)
        found.add("headrace_commits_total", done.commits, group=group)
        found.add("headrace_aborts_total", done.aborts, group=group)
        found.add("headrace_rejoins_total", done.rejoins, group=group)
        found.add("headrace_partitions", len(done.assignment), group=group)
        for place, count in member.behind.records.items():
            labels = {"group": group, "topic": place.topic, "partition": place.partition}
            found.add("headrace_lag_records", count, **labels)
        for (flow, name), count in done.written.items():
            found.add("headrace_records_written_total", count, flow=flow, stage=name)
        for (flow, name, fate), count in done.failed.items():
            found.add("headrace_records_failed_total", count, flow=flow, stage=name, fate=fate)
        for (flow, name), count in done.late.items():
            found.add("headrace_records_late_total", count, flow=flow, stage=name)
        size = size_of(member.store)
        if size is not None:
            found.add("headrace_store_bytes", size, group=group)
        standing = member.standing
        found.add("headrace_tasks", len(standing.ready), group=group, state="ready")
        found.add("headrace_tasks", len(standing.waiting), group=group, state="restoring")
        _add_restores(found, member)
        _add_calls(found, member)
    _add_feeds(found, worker)
    for stage in stages:
        _add_watermarks(found, stage, clock)
    return found.text()


def _add_calls(found: Metrics, member: Member) -> None:
    for (flow, stage), done in member.calls.items():
        labels = {"flow": flow, "stage": stage}
        found.add("headrace_calls_total", done.calls, **labels)
        found.add("headrace_call_failures_total", done.failures, **labels)
        found.add("headrace_call_retries_total", done.retries, **labels)
        found.add("headrace_call_seconds_total", round(done.seconds, 6), **labels)
        found.add("headrace_calls_in_flight", done.in_flight, **labels)
        for target, state in done.circuits.items():
            found.add("headrace_circuit_open", OPEN[state], **labels, target=target)


def _add_feeds(found: Metrics, worker: Worker) -> None:
    for (flow, stage), status in (worker.feeds.statuses if worker.feeds else {}).items():
        labels = {"flow": flow, "stage": stage}
        found.add("headrace_feed_state", 1, **labels, state=status.state)
        for figure, number in status.figures.items():
            found.add("headrace_feed", number, **labels, figure=figure)


def _add_restores(found: Metrics, member: Member) -> None:
    for one in member.restores():
        labels = {
            "changelog": one.changelog.topic,
            "partition": one.changelog.partition,
            "standby": str(one.is_standby).lower(),
        }
        found.add("headrace_restored_records", one.restored, **labels)
        found.add("headrace_restore_lag_records", one.lag, **labels)
        found.add("headrace_restore_records_per_second", round(one.per_s, 1), **labels)
        if one.left_s is not None:
            found.add("headrace_restore_left_seconds", round(one.left_s, 1), **labels)


def _add_watermarks(found: Metrics, stage: Stage, clock: Clock) -> None:
    for number in stage.ready:
        try:
            watermark_ms = watermark_of(stage, number, clock)
        except (ClosedError, StoreCorruptError):
            continue
        if watermark_ms is not None:
            lag_s = max(0, clock.now_ms() - watermark_ms) / 1000
            labels = {"flow": stage.flow, "stage": stage.name, "partition": number}
            found.add("headrace_watermark_lag_seconds", lag_s, **labels)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
