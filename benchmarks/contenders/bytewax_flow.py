"""Bytewax with its own Kafka connectors: at least once at best, since it has no Kafka transactions and no changelog topics.

Recovery is left off, which is its fastest way to run. It emits a window when it closes. Its event clock would also move with
the wall clock, and drop records of a backlog as late when that jumps; here the records alone move it. The option is the work:
reduce or counter.
"""
# mypy: disable-error-code="import-not-found"
# Bytewax is in an environment of its own, away from the type checker.

from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax import operators
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.testing import run_main
from orjson import dumps, loads

from benchmarks.contenders.client_settings import CONSUMER, PRODUCER
from benchmarks.contenders.measurement import Measurement, Work, asked

WINDOW_MS = 60_000
STARTED = datetime.now(UTC)

Total = tuple[int, float]


def add(total: Total, event: dict[str, Any]) -> Total:
    """One more record."""
    return total[0] + 1, total[1] + event["amount"]


def merge(one: Total, other: Total) -> Total:
    """Two parts of a window."""
    return one[0] + other[0], one[1] + other[1]


def time_of(event: dict[str, Any]) -> datetime:
    """Event time."""
    return datetime.fromtimestamp(event["time"] / 1000, UTC)


def result(keyed: tuple[str, tuple[int, Total]]) -> KafkaSinkMessage[bytes, bytes]:
    """A window as the others write it; windows are numbered from 1970 on."""
    user, (window, (n, total)) = keyed
    start = window * WINDOW_MS
    value = {"key": user, "start": start, "end": start + WINDOW_MS, "n": n, "total": total}
    return KafkaSinkMessage(user.encode(), dumps(value))


def running(state: Total | None, event: dict[str, Any]) -> tuple[Total, Total]:
    """The new state, which is also the result."""
    total = add(state or (0, 0.0), event)
    return total, total


def running_result(keyed: tuple[str, Total]) -> KafkaSinkMessage[bytes, bytes]:
    """The running total of a user."""
    user, (n, total) = keyed
    return KafkaSinkMessage(user.encode(), dumps({"key": user, "n": n, "total": total}))


def run(work: Work) -> None:
    """Run the dataflow to the end of the topic."""
    measurement = Measurement()
    seen = late = 0

    def parse(message: Any) -> dict[str, Any] | None:
        nonlocal seen
        if not seen:
            measurement.begin()
        seen += 1
        event: dict[str, Any] = loads(message.value)
        return None if event["kind"] == "view" else event

    def dropped(_: object) -> None:
        nonlocal late
        late += 1

    consumer = {name: value for name, value in CONSUMER.items() if not name.startswith("queued.")}
    source = KafkaSource([work.brokers], [work.source], tail=False, add_config=consumer)
    flow = Dataflow("benchmark")
    events = operators.filter_map("parse", operators.input("in", flow, source), parse)
    keyed = operators.key_on("user", events, lambda event: event["user"])
    if work.options == ("reduce",):
        clock = EventClock(
            time_of, timedelta(0), now_getter=lambda: STARTED, to_system_utc=lambda _: None
        )
        windower = TumblingWindower(
            timedelta(milliseconds=WINDOW_MS), datetime(1970, 1, 1, tzinfo=UTC)
        )
        windows = fold_window("fold", keyed, clock, windower, lambda: (0, 0.0), add, merge)
        operators.filter_map("late", windows.late, dropped)
        results = operators.map("result", windows.down, result)
    else:
        totals = operators.stateful_map("total", keyed, running)
        results = operators.map("result", totals, running_result)
    operators.output("out", results, KafkaSink([work.brokers], work.target, dict(PRODUCER)))
    run_main(flow)
    measurement.committed()
    measurement.report("bytewax", work.group, seen, late)


if __name__ == "__main__":
    run(asked())
