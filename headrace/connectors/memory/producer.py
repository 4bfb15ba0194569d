"""A producer in memory, transactional when it has a transactional id."""

# asserts mark mistakes of the engine

from collections.abc import Callable, Mapping
from typing import Any

from headrace.connectors.memory.cluster import Cluster
from headrace.connectors.memory.group import GroupMetadata
from headrace.connectors.memory.log import PartitionLog
from headrace.connectors.memory.message import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    MemoryMessage,
    as_bytes,
    as_headers,
)
from headrace.connectors.memory.topic import Topic
from headrace.connectors.memory.transaction import Transaction
from headrace.runtime.contracts.broker import (
    DeliveryCallback,
    Headers,
    ProducerSettings,
    Reaction,
    TopicPartition,
)
from headrace.runtime.errors import ClosedError, FencedError, TransactionError
from headrace.runtime.partitioning import partition_of

_TOO_LARGE = "it is larger than the topic's max.message.bytes"


class RefusedError(Exception):
    """A record that `produce` or the broker does not take; `reaction` is what that asks for."""

    def __init__(self, message: str, reaction: Reaction, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.reaction = reaction
        self.is_too_large = is_too_large


class MemoryProducer:
    """See `contracts.broker.Producer`. Records are in the log when `produce` returns."""

    def __init__(self, cluster: Cluster, settings: ProducerSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._name = settings.transactional_id or settings.client_id
        self._transactional_id = settings.transactional_id
        self._epoch = -1
        self._transaction: Transaction | None = None
        self._must_abort = False
        self._keyless: dict[str, int] = {}  # records without a key so far, per topic
        self._failure: str | None = None
        self._waiting: list[Callable[[], None]] = []  # records taken while the broker was stopped
        self._reports: list[Callable[[], None]] = []  # delivery callbacks for the next `poll`
        self._is_closed = False

    # Records

    def produce(
        self,
        topic: str,
        value: bytes | str | None = None,
        key: bytes | str | None = None,
        partition: int = -1,
        callback: DeliveryCallback | None = None,  # noqa: ARG002 # the client's other name for on_delivery
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Any = None,
    ) -> None:
        key, value = as_bytes(key), as_bytes(value)
        pairs = as_headers(headers)
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if size > self._settings.message_bytes_max:
            raise RefusedError(
                f"a record of {size} bytes for '{topic}' is larger than the limit of "
                f"{self._settings.message_bytes_max}",
                Reaction.RECORD,
                is_too_large=True,
            )
        with self._cluster.changed:
            self._check_may_produce()
            target = self._topic(topic, partition)
            if not self._cluster.is_running or self._waiting:
                self._waiting.append(
                    lambda: self._append(
                        target, value, key, partition, on_delivery, timestamp, pairs
                    )
                )
                return
            self._append(target, value, key, partition, on_delivery, timestamp, pairs)

    def _check_may_produce(self) -> None:
        if self._is_closed:
            raise RuntimeError(f"the producer '{self._name}' is closed")
        if self._transactional_id is None:
            return
        transactions = self._cluster.transactions
        if transactions.is_fenced(self._transactional_id, self._epoch):
            raise RefusedError(
                f"the producer '{self._name}' is fenced: a newer one has its transactional id",
                Reaction.FENCED,
            )
        if self._transaction is None or self._must_abort:
            raise RefusedError(
                f"the producer '{self._name}' has no transaction that could take a record",
                Reaction.TRANSACTION,
            )

    def _topic(self, name: str, partition: int) -> Topic:
        topic = self._cluster.topics.get(name)
        if topic is None:
            raise RefusedError(
                f"topic '{name}' does not exist at {self._cluster.name}", Reaction.RECORD
            )
        if partition >= len(topic.logs):
            raise RefusedError(
                f"topic '{name}' has no partition {partition}; it has {len(topic.logs)}",
                Reaction.RECORD,
            )
        return topic

    def _append(
        self,
        topic: Topic,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: DeliveryCallback | None,
        timestamp: int,
        headers: Headers | None,
    ) -> None:
        if partition < 0:
            partition = self._choose(topic, key)
        log = topic.logs[partition]
        reason = self._refusal(topic, log, key, value)
        if reason is not None:
            self._not_delivered(log, reason, on_delivery)
            return
        now_ms = self._cluster.clock.now_ms()
        kind, time_ms = (
            (LOG_APPEND_TIME, now_ms) if topic.is_stamped else (CREATE_TIME, timestamp or now_ms)
        )
        message = log.append(key, value, headers, kind, time_ms, self._transactional_id)
        if self._transaction is not None:
            self._transaction.appended.setdefault(log, []).append(message.offset())
        elif self._cluster.may_wait:
            self._cluster.changed.notify_all()
        if on_delivery is not None:
            self._reports.append(lambda: on_delivery(None, message))

    def _choose(self, topic: Topic, key: bytes | None) -> int:
        if key is not None:
            return partition_of(key, len(topic.logs))
        turn = self._keyless.get(topic.name, 0)
        self._keyless[topic.name] = turn + 1
        return turn % len(topic.logs)

    def _refusal(
        self, topic: Topic, log: PartitionLog, key: bytes | None, value: bytes | None
    ) -> str | None:
        """Why the broker, not the client, refuses a record; None when it takes it."""
        if topic.is_compacted and key is None:
            return "a compacted topic takes no record without a key"
        if (len(key) if key else 0) + (len(value) if value else 0) > topic.message_bytes_max:
            return f"{_TOO_LARGE} of {topic.message_bytes_max}"
        if self._cluster.topics.get(topic.name) is not topic:
            return f"partition {log.name} does not exist any more"
        failing = self._cluster.deliveries_to_fail
        if failing.get(topic.name):
            failing[topic.name] -= 1
            return "the broker was told to refuse it"
        return None

    def _not_delivered(
        self, log: PartitionLog, reason: str, on_delivery: DeliveryCallback | None
    ) -> None:
        if self._failure is None:
            self._failure = f"a record for {log.name} was not accepted: {reason}"
        self._must_abort = self._transactional_id is not None
        if on_delivery is not None:
            error = RefusedError(
                reason, Reaction.RECORD, is_too_large=reason.startswith(_TOO_LARGE)
            )
            refused = MemoryMessage(*log.name, -1, None, None, None, CREATE_TIME, -1)
            self._reports.append(lambda: on_delivery(error, refused))

    def poll(self, timeout_s: float) -> int:  # noqa: ARG002 # nothing here takes time
        with self._cluster.changed:
            self._send_waiting()
        reports, self._reports = self._reports, []
        for report in reports:
            report()
        return len(reports)

    def _send_waiting(self) -> None:
        if self._cluster.is_running:
            waiting, self._waiting = self._waiting, []
            for append in waiting:
                append()

    def flush(self, timeout_s: float) -> None:
        self._check_open()
        with self._cluster.changed:
            if self._waiting:
                self._cluster.check_running()
            self._send_waiting()
        self.poll(timeout_s)
        self._raise_failure(f"flush '{self._name}'")

    def _raise_failure(self, doing: str) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise TransactionError(f"could not {doing}: {failure}")

    # Transactions

    def init_transactions(self, timeout_s: float) -> None:  # noqa: ARG002 # answers at once
        self._check_open()
        with self._cluster.changed:
            self._cluster.check_running()
            self._epoch = self._cluster.transactions.fence(self._id())
            self._cluster.changed.notify_all()

    def begin_transaction(self) -> None:
        self._check_open()
        with self._cluster.changed:
            self._check_fence("begin a transaction")
            if self._transaction is not None:
                raise TransactionError(
                    f"could not begin a transaction of '{self._name}': one is open already"
                )
            self._failure = None
            self._transaction = self._cluster.transactions.begin(
                self._id(), self._cluster.clock.now_ms(), self._settings.transaction_timeout_ms
            )

    def send_positions(
        self, positions: Mapping[TopicPartition, int], group_metadata: GroupMetadata
    ) -> None:
        self._check_open()
        if not positions:
            return
        doing = "add positions to the transaction"
        with self._cluster.changed:
            transaction = self._ready(doing)
            group = self._cluster.group(group_metadata.group)
            if not group.accepts(group_metadata):
                self._must_abort = True
                raise FencedError(
                    f"could not {doing} of '{self._name}': group '{group.name}' has gone on "
                    "without this member; abort the transaction and join anew"
                )
            transaction.add_positions(group, dict(positions))

    def commit_transaction(self, timeout_s: float) -> None:
        self._check_open()
        doing = "commit the transaction"
        with self._cluster.changed:
            self._ready(doing)
            self._send_waiting()
            if self._failure is None and self._cluster.commits_to_fail:
                self._cluster.commits_to_fail -= 1
                self._failure = "the broker was told to refuse the commit"
                self._must_abort = True
        self.poll(timeout_s)
        self._raise_failure(f"{doing} of '{self._name}'")
        with self._cluster.changed:
            self._end(is_committed=True)

    def abort_transaction(self, timeout_s: float) -> None:  # noqa: ARG002 # answers at once
        self._check_open()
        with self._cluster.changed:
            self._cluster.check_running()
            self._check_fence("abort the transaction")
            self._waiting.clear()
            self._end(is_committed=False)
            self._failure = None

    def _ready(self, doing: str) -> Transaction:
        """The open transaction, if it can still be committed."""
        self._cluster.check_running()
        self._check_fence(doing)
        if self._transaction is None:
            raise TransactionError(f"could not {doing} of '{self._name}': none is open")
        if self._must_abort and self._failure is None:
            raise TransactionError(
                f"could not {doing} of '{self._name}': an earlier step failed; abort it"
            )
        return self._transaction

    def _end(self, *, is_committed: bool) -> None:
        self._cluster.transactions.end(self._id(), is_committed=is_committed)
        self._transaction = None
        self._must_abort = False
        self._cluster.changed.notify_all()

    def _check_fence(self, doing: str) -> None:
        self._cluster.transactions.expire(self._cluster.clock.now_ms())
        self._cluster.transactions.check(self._id(), self._epoch, doing)

    def _id(self) -> str:
        assert self._transactional_id is not None, f"'{self._name}' is not transactional"
        return self._transactional_id

    # The end

    def close(self) -> None:
        self._is_closed = True
        self._waiting.clear()
        self._reports.clear()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the producer '{self._name}' is closed")
