"""Quix Streams, exactly once, with the client settings of the others."""

import tempfile
from typing import Any

from quixstreams import Application
from quixstreams.checkpointing import Checkpoint

from benchmarks.contenders.client_settings import COMMIT_INTERVAL_S, CONSUMER, PRODUCER
from benchmarks.contenders.measurement import Measurement, Work, asked


def run(work: Work, state: str) -> None:
    """Run the application until it has processed `work.records`, and a final commit."""
    measurement = Measurement()
    seen = 0

    def processed(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            measurement.begin()
        if seen == work.records:
            application.stop()

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
        auto_create_topics=False,
        state_dir=state,
        loglevel="WARNING",
    )
    frame = application.dataframe(application.topic(work.source, value_deserializer="json"))
    frame = frame.filter(lambda event: event["kind"] != "view")
    frame = frame.apply(lambda event: {**event, "total": event["amount"] * 1.2})
    frame.to_topic(application.topic(work.target, value_serializer="json"))
    application.run()
    measurement.report("quix", work.group, seen)


def main() -> None:
    """Do what the command line asks."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as state:
        run(asked(), state)


if __name__ == "__main__":
    main()
