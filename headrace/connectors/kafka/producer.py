"""A producer over confluent-kafka, transactional when it has a transactional id."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as ClientMessage
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka.calls import BoundedCalls, StuckError
from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import client_settings, explain_refusal
from headrace.connectors.kafka.errors import (
    ANSWER_TIMEOUT_S,
    UNAVAILABLE,
    kafka_error,
    transaction_failure,
    unavailable,
)
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import ProducerSettings, TopicPartition
from headrace.runtime.errors import ClosedError, FencedError, HeadraceError, TransactionError

_RETRY_PAUSE_S = 0.05
_STUCK_AFTER_S = 5.0
_POSITIONS_TIMEOUT_S = 30.0
# Records that an abort or a close drops on purpose.
_DROPPED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


class KafkaProducer:
    """See `contracts.broker.Producer`.

    `produce` and `poll` are the client's bound methods: a call from generated code goes straight
    into C. Whoever keeps them after `close` keeps the client alive. Delivery reports of records that arrived stop in C as well
    (`delivery.report.only.error`), unless the settings ask for them.
    """

    def __init__(self, brokers: str, client: Mapping[str, str], settings: ProducerSettings) -> None:
        user_settings = {**client, **settings.client}
        self._brokers = brokers
        self._name = settings.transactional_id or settings.client_id
        self._log = KafkaLog(settings.client_id, brokers)
        self._clock = SystemClock()
        self._calls = BoundedCalls(f"headrace producer {self._name}")
        self._failure: str | None = None
        self._failures = 0
        self._is_closed = False
        try:
            self._client = Producer(
                producer_configuration(brokers, user_settings, settings)
                | {
                    "logger": self._log,
                    "error_cb": self._log.on_error,
                    "on_delivery": self._on_delivery,
                }
            )
        except KafkaException as error:
            raise explain_refusal(kafka_error(error).str(), user_settings) from error
        self.produce: Any = self._client.produce
        self.poll: Any = self._client.poll

    def _on_delivery(self, error: KafkaError | None, message: ClientMessage) -> None:
        """Remember the first record that was not accepted; called for failures only."""
        if error is None or error.code() in _DROPPED:
            return
        self._failures += 1
        if self._failure is None:
            partition = f"{message.topic()}[{message.partition()}]"
            self._failure = f"a record for {partition} was not accepted: {error.str()}"

    def _undelivered(self) -> str:
        if self._failure is None:
            return ""
        more = f" (and {self._failures - 1} more)" if self._failures > 1 else ""
        return self._failure + more

    # Transactions

    def init_transactions(self, timeout_s: float) -> None:
        self._until_done(
            "begin as a transactional producer", timeout_s, self._client.init_transactions
        )

    def begin_transaction(self) -> None:
        self._check_open()
        self._failure, self._failures = None, 0
        try:
            self._client.begin_transaction()
        except KafkaException as exception:
            raise self._refused("begin a transaction", kafka_error(exception)) from exception

    def flush(self, timeout_s: float) -> None:
        self._check_open()
        try:
            remaining = self._client.flush(timeout_s)
        except KafkaException as exception:
            raise self._refused("flush", kafka_error(exception)) from exception
        if self._failure is not None:
            failure = self._undelivered()
            self._failure, self._failures = None, 0
            raise TransactionError(f"could not flush '{self._name}': {failure}")
        if remaining:
            raise unavailable(self._brokers, timeout_s, f"{remaining} records are waiting")
        self._log.answered()

    def send_positions(self, positions: Mapping[TopicPartition, int], group_metadata: Any) -> None:
        offsets = [ClientPartition(*one, offset) for one, offset in positions.items()]
        if not offsets:
            return
        self._until_done(
            "add positions to the transaction",
            _POSITIONS_TIMEOUT_S,
            lambda remaining_s: self._client.send_offsets_to_transaction(
                offsets, group_metadata, remaining_s
            ),
        )

    def commit_transaction(self, timeout_s: float) -> None:
        """After BrokerUnavailableError it is not known whether the transaction was committed."""
        self._until_done("commit the transaction", timeout_s, self._client.commit_transaction)

    def abort_transaction(self, timeout_s: float) -> None:
        self._until_done("abort the transaction", timeout_s, self._client.abort_transaction)
        self._failure, self._failures = None, 0

    def _until_done(self, doing: str, timeout_s: float, call: Callable[[float], None]) -> None:
        """Call until it succeeds, must not be tried again, or the time is over."""
        self._check_open()
        deadline_s = self._clock.monotonic_s() + timeout_s
        remaining_s = timeout_s
        while True:
            try:
                wait_s = min(max(remaining_s, 0.001), ANSWER_TIMEOUT_S)
                self._calls.run(partial(call, wait_s), wait_s + _STUCK_AFTER_S)
            except StuckError:
                raise FencedError(
                    f"could not {doing} of '{self._name}': the client has not answered for {wait_s + _STUCK_AFTER_S:g} s, as"
                    " happens when a coordinator dies; a new producer takes its place"
                ) from None
            except KafkaException as exception:
                error = kafka_error(exception)
                remaining_s = deadline_s - self._clock.monotonic_s()
                if not error.retriable() or error.txn_requires_abort() or error.fatal():
                    raise self._refused(doing, error, timeout_s) from exception
                if remaining_s <= 0:
                    raise unavailable(self._brokers, timeout_s, error.str()) from exception
                self._clock.sleep(min(_RETRY_PAUSE_S, remaining_s))
            else:
                self._log.answered()
                return

    def _refused(self, doing: str, error: KafkaError, timeout_s: float = 0) -> HeadraceError:
        if error.code() in UNAVAILABLE and not error.txn_requires_abort() and not error.fatal():
            return unavailable(self._brokers, timeout_s, error.str())
        return transaction_failure(error, f"{doing} of '{self._name}'", self._undelivered())

    # The end

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._calls.close()
        # The client's own close aborts the transaction and flushes, and waits for ever when nobody
        # answers (test_closing_never_waits_for_a_broker_that_is_gone). Dropping it ends it at once.
        with suppress(KafkaException):
            self._client.purge()
        self.produce = self.poll = self._refuse
        del self._client

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(f"the producer '{self._name}' is closed")

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the producer '{self._name}' is closed")


def producer_configuration(
    brokers: str, client: Mapping[str, str], settings: ProducerSettings
) -> dict[str, Any]:
    """The client's configuration, without its callbacks.

    Keyed records go where Kafka's own clients put them (`murmur2_random`), so that topics written
    by others are co-partitioned with ours.
    """
    configuration: dict[str, Any] = {
        "linger.ms": 5,
        "compression.type": settings.compression,
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 262_144,
        "topic.metadata.propagation.max.ms": 5_000,
        "batch.size": settings.batch_bytes_max,
    }
    configuration |= client_settings(client, "producer")
    configuration |= {
        "bootstrap.servers": brokers,
        "client.id": settings.client_id,
        "enable.idempotence": True,
        "message.max.bytes": settings.message_bytes_max,
        "delivery.report.only.error": not settings.reports_deliveries,
    }
    if settings.transactional_id is not None:
        configuration |= {
            "transactional.id": settings.transactional_id,
            "transaction.timeout.ms": settings.transaction_timeout_ms,
        }
    return configuration
