"""The feed of the embedded engine: its process, and Kafka's transactions."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.debezium.delivery import Delivery
from headrace.connectors.cdc.debezium.failures import explained
from headrace.connectors.cdc.debezium.frames import BATCH, END, LIFE, Frame, decode_batch, pair_of
from headrace.connectors.cdc.debezium.operation import DebeziumOperation
from headrace.connectors.cdc.debezium.process import EngineProcess, engine_jars
from headrace.connectors.cdc.debezium.properties import (
    connector_properties,
    has_many_partitions,
    kind_of_class,
)
from headrace.connectors.cdc.debezium.redaction import Redaction, secrets_of
from headrace.connectors.cdc.debezium.settings import address_of, templates_of
from headrace.connectors.cdc.debezium.topics import feed_topics, has_schema_history
from headrace.connectors.cdc.errors import CaptureError, DatabaseUnavailableError
from headrace.connectors.cdc.progress import make_topics
from headrace.connectors.cdc.topics import Topics
from headrace.runtime.contracts.feed import Exclusive, FeedPlace, FeedState, FeedStatus, FeedTopic
from headrace.runtime.errors import TransactionError
from headrace.runtime.expression import Template

_TIMEOUT_S = 30.0
_PAUSE_MIN_S = 0.5
_LISTEN_S = 0.2
_REPORT_S = 1.0
ENGINE = {
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "offset.flush.interval.ms": "0",
    "key.converter.schemas.enable": "false",
    "value.converter.schemas.enable": "false",
    "header.converter.schemas.enable": "false",
    "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
    "errors.max.retries": "0",
    "tasks.max": "1",
}
"""Decided here: positions and history are kept in Kafka, and failures come back instead of being tried again in secret."""


class DebeziumFeed(Exclusive):
    """Debezium's engine in a process of its own, exactly once.

    What the loop does, in this order:

    1. Fence the predecessor: its open transaction is aborted, and it can commit nothing any more.
    2. Read the stored position, which is final now.
    3. Start the process with it.
    4. Write each batch and the position behind it in one transaction.
    5. Only after the commit let the engine tell the database.

    When the engine or its process ends, or a transaction fails, it goes back to 2 after a growing pause, with a new process.
    """

    def __init__(self, config: CdcConfig, prefix: str) -> None:
        self.config = config
        self.prefix = prefix

    def topics(self) -> Sequence[FeedTopic]:
        return feed_topics(self.config, self.prefix)

    def settings(self) -> Mapping[str, Template]:
        return templates_of(self.config)

    def run(self, place: FeedPlace) -> None:
        place.report(FeedStatus(state="starting"))
        engine_jars()
        make_topics(place)
        producer = place.producer(message_bytes_max=self.config.message_bytes_max)
        try:
            producer.init_transactions(_TIMEOUT_S)  # 1
            with Topics(place, self.config) as topics:
                self._run(place, Delivery(self.config, self.prefix, place, producer, topics))
        finally:
            producer.close()

    def _run(self, place: FeedPlace, delivery: "Delivery") -> None:
        pause_s = _PAUSE_MIN_S
        while not place.stopped.is_set():
            before = delivery.batches
            delivery.load()  # 2
            try:
                with EngineProcess(self._start(place, delivery)) as process:  # 3
                    Session(place, delivery, process, self._redaction(place)).run()
            except (DatabaseUnavailableError, TransactionError) as error:
                pause_s = _PAUSE_MIN_S if delivery.batches > before else pause_s
                place.report(FeedStatus(state="retrying", text=str(error)))
                place.stopped.wait(pause_s)
                pause_s = min(pause_s * 2, self.config.retry_pause_max.total_seconds())
            except CaptureError as error:
                place.report(FeedStatus(state="failed", text=str(error)))
                raise
            finally:
                with suppress(TransactionError):
                    delivery.abort()

    def _start(self, place: FeedPlace, delivery: "Delivery") -> dict[str, Any]:
        """What the process is told. Holds secrets, and therefore goes through a pipe."""
        own = connector_properties(self.config, self.prefix, place.name, place.settings)
        options = self.config.debezium
        return {
            "properties": {**own, **ENGINE, "name": place.name},
            "jars": [*engine_jars(), *(options.class_path if options else ())],
            "jvm_options": options.jvm_options if options else (),
            "java_home": str(place.settings.get("debezium.java_home") or ""),
            "offsets": delivery.offsets,
            "history": delivery.history if has_schema_history(self.config) else None,
            "again": pair_of(delivery.again),
            "is_many": has_many_partitions(self.config),
            "is_postgres": kind_of_class(self.config) == "postgresql",
        }

    def operation(self, place: FeedPlace) -> DebeziumOperation:
        """What the command line does with this feed."""
        return DebeziumOperation(self.config, self.prefix, place, self._redaction(place))

    def _redaction(self, place: FeedPlace) -> Redaction:
        address = address_of(place.settings)
        password = address.password if address is not None else None
        return Redaction(secrets_of(self.settings(), place.settings, password or ""))


class Session:
    """One process, from its start to its end."""

    def __init__(
        self, place: FeedPlace, delivery: Delivery, process: EngineProcess, redaction: Redaction
    ) -> None:
        self._place = place
        self._delivery = delivery
        self._process = process
        self._redaction = redaction
        self._end: Mapping[str, Any] | None = None
        self._is_polling = False
        self._next_report_s = 0.0

    def run(self) -> None:
        """Return when the place is stopped.

        Raises:
            DatabaseUnavailableError: the engine or its process ended; start another one.
            CaptureError: it ended for a reason that stays.
            TransactionError: a batch could not be committed.
        """
        while not self._place.stopped.is_set():
            frame = self._process.next(_LISTEN_S)
            if frame is not None:
                self._take(frame)
            elif self._process.has_ended:
                raise explained(self._end, self._process, self._redaction)
            self._report()

    def _take(self, frame: Frame) -> None:
        if frame.kind == BATCH:
            self._delivery.deliver(decode_batch(frame.body))  # 4
            self._process.committed()  # 5
        elif frame.kind == LIFE:
            self._is_polling = frame.json()["event"] == "pollingStarted" or self._is_polling
        elif frame.kind == END:
            self._end = frame.json()

    def _report(self) -> None:
        now_s = self._place.clock.monotonic_s()
        if not self._is_polling or now_s < self._next_report_s:
            return
        self._next_report_s = now_s + _REPORT_S
        figures = {"changes": float(self._delivery.records)}
        if self._delivery.last_timestamp_ms:
            since_ms = self._place.clock.now_ms() - self._delivery.last_heard_ms
            figures["silence_s"] = max(0.0, since_ms / 1000)
        state: FeedState = "snapshot" if self._delivery.is_in_snapshot else "running"
        self._place.report(FeedStatus(state=state, figures=figures))
