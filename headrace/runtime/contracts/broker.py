"""What the engine asks of a broker: Apache Kafka (`connectors.kafka`) or the one in memory (`connectors.memory`).

Names and shapes follow Kafka's clients. The data plane (`Message`, `Producer.produce`) has confluent-kafka's own signatures, so
that generated code calls the client's methods directly. One contract suite, `tests/contract/`, runs on both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple, Protocol


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


Headers = list[tuple[str, bytes | None]]


class Message(Protocol):
    """A record as it was read. Immutable; its methods cost some 30 ns each."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]:
        """The kind (0 none, 1 create time, 2 log append time) and milliseconds since 1970 UTC."""


class Reaction(Enum):
    """What an exception raised by `Producer.produce` asks for."""

    RECORD = "record"  # this record is refused (too large, ...): its stage's on_error decides
    TRANSACTION = "transaction"  # abort, rewind, go on
    FENCED = "fenced"  # close the member, join anew
    RESTART = "restart"  # the process cannot go on


class RebalanceListener(Protocol):
    """Told of the partitions that come and go, from inside `Consumer.consume` and `Consumer.close`, on the same thread."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Partitions were added; returns the offset at which each of them begins.

        `Consumer.pause` may be called for them here: they begin paused, and not one record of theirs is returned before
        they are resumed. What was paused in an earlier assignment is not any more.
        """

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are about to be taken away: last chance to commit their positions."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions were taken away already: nothing of theirs can be committed any more."""


class Consumer(Protocol):
    """One member of a consumer group. Not thread-safe. Never commits by itself."""

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        """Join the group for these topics; a name that begins with `^` is a regular expression over whole topic names."""

    def consume(self, count: int, timeout_s: float) -> list[Message]:
        """At most `count` records, in offset order per partition; fewer, or none, when `timeout_s` is over or an end is reached.

        Runs the rebalance listener. Returns no records of partitions that are not assigned when it returns.

        Raises:
            DataLossError: the position is out of the range of the partition's offsets.
            FencedError: the group has expelled this member for good (another has its instance id).
            RestartError: the client cannot go on.
        """

    def assignment(self) -> frozenset[TopicPartition]: ...

    def positions(self) -> dict[TopicPartition, int]:
        """Per assigned partition of which something was consumed or sought: the offset after the last record returned."""

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The group's committed positions; a partition without one is left out."""

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets; records fetched already are dropped. Only for assigned partitions."""

    def caught_up(self) -> frozenset[TopicPartition]:
        """Assigned partitions whose end was reached, with no record returned since.

        The end is the last stable offset. With Kafka it is known some 100 ms after the last record, and not while a
        partition is paused.
        """

    def ends(self) -> dict[TopicPartition, int]:
        """The end of each assigned partition, as of the last fetch; one that was not fetched yet is left out. Asks nobody."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...
    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def group_metadata(self) -> Any:
        """For `Producer.send_positions`; holds the group's generation, so ask anew for every commit."""

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit outside of a transaction (at least once) and wait for it.

        Raises:
            TransactionError: the group has moved on; the positions were not committed.
        """

    def close(self) -> None:
        """Leave the group (revoking through the listener). May be called again."""


class Reader(Protocol):
    """Reads partitions in no group: changelogs, tables, other people's topics. Committed records only. Not thread-safe."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions, and no others, from these offsets on.

        Partitions that were read before go on where they are, unless their offset is another one than `positions()` tells.
        """

    def read(self, count: int, timeout_s: float) -> list[Message]:
        """At most `count` records, in offset order per partition; fewer, or none, when `timeout_s` is over or an end is reached.

        Raises:
            DataLossError: a position is out of the range of its partition's offsets.
            RestartError: the client cannot go on.
        """

    def positions(self) -> dict[TopicPartition, int]:
        """Per partition the offset that is read next.

        At the end of a partition it is the end's offset, whatever lies before it: aborted records, transaction markers and
        what compaction removed count as read.
        """

    def close(self) -> None:
        """May be called again."""


DeliveryCallback = Callable[[Any, Any], None]


class Producer(Protocol):
    """A producer; transactional when it was made with a transactional id. `produce` and `poll` are the client's own methods.

    Transaction methods retry what can be retried within their time limits, then raise:

    Raises:
        TransactionError: abort, rewind, go on.
        FencedError: a newer producer has this transactional id, or the group's generation is over.
        BrokerUnavailableError: nothing answered in time.
    """

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | str | None = None,
        partition: int = -1,
        callback: DeliveryCallback | None = None,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Any = None,
    ) -> None:
        """Enqueue one record; returns at once.

        Generated code calls it by position: keywords cost some 0.3 µs a record. `callback` is the client's other
        name for `on_delivery`; nobody gives it.

        Raises:
            BufferError: the local queue is full; `poll` and call again.
            Exception: anything else; `Broker.reaction` tells what it asks for.
        """

    def poll(self, timeout_s: float) -> int: ...

    def init_transactions(self, timeout_s: float) -> None:
        """Fence earlier producers of the same transactional id and abort what they left open."""

    def begin_transaction(self) -> None: ...

    def flush(self, timeout_s: float) -> None:
        """Wait until everything enqueued is acknowledged.

        Raises:
            TransactionError: a record was not accepted; names the topic and the broker's reason.
            BrokerUnavailableError: the time is over.
        """

    def send_positions(self, positions: Mapping[TopicPartition, int], group_metadata: Any) -> None:
        """Add the group's new positions to the transaction (KIP-447)."""

    def commit_transaction(self, timeout_s: float) -> None: ...
    def abort_transaction(self, timeout_s: float) -> None: ...

    def close(self) -> None:
        """Drop what is not acknowledged. May be called again."""


@dataclass(frozen=True, kw_only=True)
class TopicDescription:
    """A topic that exists. `config` holds the broker's effective settings as text, such as `retention.ms`."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def retention_ms(self) -> int:
        """-1 when records are kept for ever (also where the topic is only compacted)."""
        if "delete" not in self.config.get("cleanup.policy", "delete"):
            return -1
        return int(self.config.get("retention.ms", "-1"))

    @property
    def is_stamped_by_broker(self) -> bool:
        """Whether the broker replaces record timestamps with its own clock."""
        return self.config.get("message.timestamp.type") == "LogAppendTime"

    @property
    def message_bytes_max(self) -> int:
        return int(self.config.get("max.message.bytes", "1048588"))


@dataclass(frozen=True, kw_only=True)
class NewTopic:
    """A topic to create; -1 asks for the broker's default."""

    name: str
    partitions: int = -1
    replication_factor: int = -1
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GroupMember:
    """A member of a consumer group as the broker knows it."""

    member_id: str
    client_id: str
    instance_id: str | None
    assignment: frozenset[TopicPartition]


@dataclass(frozen=True, kw_only=True)
class ClusterDescription:
    """The brokers that answered: `nodes` as `host:port`."""

    cluster_id: str
    nodes: tuple[str, ...]
    controller: str


class Admin(Protocol):
    """Administration; every call waits for its answer, at most ten seconds. Thread-safe.

    Raises:
        BrokerUnavailableError: nothing answered.
        RestartError: the broker refused, with its reason.
    """

    def cluster(self) -> ClusterDescription: ...

    def topics(self) -> dict[str, int]:
        """Names of all topics but Kafka's internal ones, with their partition counts."""

    def describe(self, names: Iterable[str]) -> dict[str, TopicDescription]:
        """Those of the topics that exist."""

    def create(self, topics: Sequence[NewTopic]) -> None:
        """Create topics and wait until they are known everywhere; one that exists already is left as it is."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics; one that does not exist is no error."""

    def add_partitions(self, name: str, count: int) -> None:
        """Grow a topic to `count` partitions."""

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None: ...

    def offsets(
        self, partitions: Iterable[TopicPartition], at: Literal["earliest", "latest"] | int
    ) -> dict[TopicPartition, int]:
        """The offset at the beginning, at the end, or of the first record at or after a time in ms (the end when there is none).

        The end is that of read-committed readers: the last stable offset.
        """

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition, also while its transaction is open.

        A read-committed reader that is there, or past it, has seen everything that was written before this call. The
        markers of a transaction are written shortly after its end, so they may or may not be counted.
        """

    def group_members(self, group: str) -> list[GroupMember]:
        """Who is in a group; empty when it does not exist."""

    def group_positions(self, group: str) -> dict[TopicPartition, int]:
        """Committed positions of a group; empty when it has none."""

    def delete_group(self, group: str) -> None:
        """Forget a group without members; one that does not exist is no error."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ConsumerSettings:
    """What the engine decides about a consumer."""

    group: str
    client_id: str
    instance_id: str | None = None  # static membership
    protocol: Literal["auto", "classic", "consumer"] = "auto"  # KIP-848 is "consumer"
    session_timeout_ms: int = 30_000
    max_poll_interval_ms: int = 300_000
    assignor: Literal["sticky", "range"] = "sticky"
    """`range` gives partitions of the same number of all topics to the same member."""
    client: Mapping[str, str] = field(default_factory=dict)  # passed through (TLS, SASL, ...)


@dataclass(frozen=True, kw_only=True)
class ProducerSettings:
    """What the engine decides about a producer."""

    client_id: str
    transactional_id: str | None = None
    transaction_timeout_ms: int = 15_000
    message_bytes_max: int = 1_000_000  # larger records are refused by `produce`
    batch_bytes_max: int = 1_000_000  # smallest limit of the topics written to
    compression: str = "lz4"
    reports_deliveries: bool = False  # `on_delivery` is told of records that arrived, too
    client: Mapping[str, str] = field(default_factory=dict)


class Broker(Protocol):
    """The way to a cluster, found through the entry-point group `headrace.brokers`."""

    def admin(self) -> Admin: ...
    def consumer(self, settings: ConsumerSettings) -> Consumer: ...
    def producer(self, settings: ProducerSettings) -> Producer: ...
    def reader(self, client_id: str, client: Mapping[str, str]) -> Reader: ...

    def reaction(self, error: object) -> Reaction | None:
        """What an exception out of `produce`, or the error of a delivery, asks for; None when it is not the client's."""

    def is_too_large(self, error: object) -> bool:
        """Whether such an error says that a record is larger than the client sends, or its topic takes."""
