"""The feed of the native engine: snapshot, stream, commit, confirm."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from headrace.connectors.cdc.capture import Capture
from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connection_settings import templates
from headrace.connectors.cdc.engines import source_of
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.connectors.cdc.operation import Operation
from headrace.connectors.cdc.progress import make_topics, read_progress
from headrace.connectors.cdc.tables import Tables, message_topic, topic_of
from headrace.connectors.cdc.topics import Topics
from headrace.connectors.cdc.writer import Writer
from headrace.runtime.contracts.feed import Exclusive, FeedPlace, FeedStatus, FeedTopic
from headrace.runtime.errors import TransactionError
from headrace.runtime.expression import Template

_TIMEOUT_S = 30.0
_PAUSE_MIN_S = 0.2


class NativeFeed(Exclusive):
    """headrace's own engine: exactly once, whatever dies.

    What the loop does, in this order:

    1. Fence the predecessor: its open transaction is aborted, and it can commit nothing any more.
    2. Read the progress, which is final now.
    3. Open the database, and begin or verify that nothing was lost since.
    4. Read snapshots and stream changes into transactions, each with the progress behind it.
    5. Only after a commit tell the database that it may forget what was committed.

    A failure of the database or of a transaction goes back to 3 with the last committed progress, after a growing pause.
    """

    def __init__(self, config: CdcConfig, prefix: str) -> None:
        self.config = config
        self.prefix = prefix

    def topics(self) -> Sequence[FeedTopic]:
        config = self.config
        tables = Tables(config.tables, config.exclude)
        names = [] if config.outbox else [topic_of(self.prefix, name) for name in tables.exact]
        if config.outbox or config.messages or tables.has_patterns:
            names.insert(0, message_topic(self.prefix))
        kept = {"cleanup.policy": "compact"} if config.cleanup == "compact" else {}
        return [FeedTopic(name=name, partitions=config.partitions, config=kept) for name in names]

    def settings(self) -> Mapping[str, Template]:
        return templates(self.config)

    def run(self, place: FeedPlace) -> None:
        place.report(FeedStatus(state="starting"))
        make_topics(place)
        producer = place.producer(message_bytes_max=self.config.message_bytes_max)
        try:
            producer.init_transactions(_TIMEOUT_S)  # 1
            writer = Writer(
                producer,
                place.broker,
                place.name,
                batch_rows=self.config.batch_rows,
                batch_bytes=self.config.batch_bytes,
            )
            self._run(place, writer)
        finally:
            producer.close()

    def _run(self, place: FeedPlace, writer: Writer) -> None:
        pause_s = _PAUSE_MIN_S
        is_first = True
        with Topics(place, self.config) as topics:
            while not place.stopped.is_set():
                source = source_of(topics.source_place(self.prefix))
                capture = Capture(self.config, place, source, writer, read_progress(place))  # 2
                try:
                    capture.run(is_first=is_first)  # 3, 4, 5
                except (DatabaseUnavailableError, TransactionError) as error:
                    writer.abort()
                    pause_s = _PAUSE_MIN_S if capture.has_streamed else pause_s
                    place.report(FeedStatus(state="retrying", text=str(error)))
                    place.stopped.wait(pause_s)
                    pause_s = min(pause_s * 2, self.config.retry_pause_max.total_seconds())
                except CaptureError as error:
                    place.report(FeedStatus(state="failed", text=str(error)))
                    raise
                finally:
                    source.close()
                is_first = is_first and not capture.has_streamed
        with suppress(TransactionError):
            writer.abort()

    def operation(self, place: FeedPlace) -> Operation:
        """What the command line does with this feed."""
        return Operation(self.config, self.prefix, place)
