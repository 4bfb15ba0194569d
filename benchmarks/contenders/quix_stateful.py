"""Quix Streams with state on RocksDB and changelog topics, exactly once. The option is the work: reduce or counter."""

import tempfile
from datetime import timedelta
from typing import Any

from quixstreams import Application, State
from quixstreams.checkpointing import Checkpoint
from quixstreams.dataframe.windows import Count, Sum

from benchmarks.contenders.client_settings import COMMIT_INTERVAL_S, CONSUMER, PRODUCER
from benchmarks.contenders.measurement import Measurement, Work, asked


def count(event: dict[str, Any], state: State) -> dict[str, Any]:
    """One more record of this user."""
    n, total = state.get("total") or (0, 0.0)
    n, total = n + 1, total + event["amount"]
    state.set("total", [n, total])
    return {"n": n, "total": total}


def run(work: Work, folder: str) -> None:
    """Run the application until it has processed `work.records`, and a final commit."""
    measurement = Measurement()
    seen = late = 0

    def processed(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            measurement.begin()
        if seen == work.records:
            application.stop()

    def dropped(*_: object) -> bool:
        nonlocal late
        late += 1
        return False

    commit = Checkpoint.commit

    def commit_and_note(checkpoint: Any, **arguments: Any) -> None:
        commit(checkpoint, **arguments)
        measurement.committed()

    Checkpoint.commit = commit_and_note
    application = Application(
        broker_address=work.brokers,
        consumer_group=work.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_INTERVAL_S,
        consumer_extra_config=dict(CONSUMER),
        producer_extra_config=dict(PRODUCER),
        on_message_processed=processed,
        state_dir=folder,
        loglevel="WARNING",
    )
    frame = application.dataframe(application.topic(work.source, value_deserializer="json"))
    frame = frame.filter(lambda event: event["kind"] != "view")
    if work.options == ("reduce",):
        windows = frame.tumbling_window(timedelta(minutes=1), on_late=dropped)
        frame = windows.agg(n=Count(), total=Sum("amount")).current()
    else:
        frame = frame.apply(count, stateful=True)
    frame.to_topic(application.topic(work.target, value_serializer="json"))
    application.run()
    measurement.report("quix", work.group, seen, late)


def main() -> None:
    """Do what the command line asks."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        run(asked(), folder)


if __name__ == "__main__":
    main()
