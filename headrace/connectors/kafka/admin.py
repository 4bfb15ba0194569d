"""Administration over confluent-kafka."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any, Literal, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # re-exported without a list
    AdminClient,
    ConfigResource,
    NewPartitions,
    OffsetSpec,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # re-exported without a list
    NewTopic as ClientTopic,
)

from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import client_settings, explain_refusal
from headrace.connectors.kafka.errors import (
    ANSWER_TIMEOUT_S,
    UNAVAILABLE,
    kafka_error,
    unavailable,
)
from headrace.connectors.kafka.group_positions import GroupPositions
from headrace.connectors.kafka.group_requests import CLIENT_TIMEOUT_S, GroupRequests
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    ClusterDescription,
    GroupMember,
    NewTopic,
    TopicDescription,
    TopicPartition,
)
from headrace.runtime.errors import BrokerUnavailableError, ClosedError, HeadraceError, RestartError

Answer = TypeVar("Answer")

# The client's own limit is the same; this one is for a client that does not keep it.
_FUTURE_TIMEOUT_S = ANSWER_TIMEOUT_S + 2
_VISIBILITY_PAUSE_S = 0.02
_SETTLING_PAUSE_S = 0.1
_INTERNAL_TOPICS = frozenset(
    {"__cluster_metadata", "__consumer_offsets", "__share_group_state", "__transaction_state"}
)
_UNKNOWN_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
# A leader or coordinator has moved, and the client knows the one before.
_MOVED = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
# The cluster is about to agree on who leads or coordinates: shortly after a start, a creation, a move.
_SETTLING = _MOVED | {
    KafkaError._NOENT,  # "No leaders found"
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_CONTROLLER,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
}


class KafkaAdmin:
    """See `contracts.broker.Admin`.

    Keeps its client for as long as it lives: a client that is collected destroys the answers that
    it waits for.
    """

    def __init__(self, brokers: str, client: Mapping[str, str]) -> None:
        self._brokers = brokers
        self._log = KafkaLog("headrace-admin", brokers)
        self._clock = SystemClock()
        self._lock = Lock()
        self._positions = GroupPositions(brokers, client, self._log)
        configuration: dict[str, Any] = client_settings(client, "admin")
        configuration |= {"bootstrap.servers": brokers, "client.id": "headrace-admin"}
        configuration |= {"logger": self._log, "error_cb": self._log.on_error}
        self._groups = GroupRequests(configuration)
        try:
            self._client: AdminClient | None = AdminClient(configuration)
        except KafkaException as error:
            raise explain_refusal(kafka_error(error).str(), client) from error

    # What exists

    def cluster(self) -> ClusterDescription:
        found = self._wait(
            "describe the cluster",
            self._open().describe_cluster(request_timeout=ANSWER_TIMEOUT_S),
        )
        controller = found.controller
        return ClusterDescription(
            cluster_id=found.cluster_id or "",
            nodes=tuple(f"{node.host}:{node.port}" for node in found.nodes),
            controller=f"{controller.host}:{controller.port}" if controller else "",
        )

    def topics(self) -> dict[str, int]:
        found = self._metadata()
        return {
            name: len(topic.partitions)
            for name, topic in sorted(found.topics.items())
            if topic.error is None and name not in _INTERNAL_TOPICS
        }

    def describe(self, names: Iterable[str]) -> dict[str, TopicDescription]:
        """Where reading the settings of a topic is not allowed, its `config` is empty."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        topics = self._existing(wanted)
        if not topics:
            return {}
        configs = self._configs(list(topics))
        return {
            name: TopicDescription(
                name=name,
                partitions=len(topic.partitions),
                replication_factor=len(topic.partitions[0].replicas) if topic.partitions else 0,
                config=configs.get(name, {}),
            )
            for name, topic in topics.items()
        }

    def _existing(self, names: list[str]) -> dict[str, Any]:
        answers = self._open().describe_topics(
            TopicCollection(names), request_timeout=ANSWER_TIMEOUT_S
        )
        found: dict[str, Any] = {}
        for name, answer in answers.items():
            topic = self._wait(f"describe topic '{name}'", answer, _UNKNOWN_TOPIC)
            if topic is not None:
                found[name] = topic
        return found

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        answers = self._open().describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names],
            request_timeout=ANSWER_TIMEOUT_S,
        )
        may_be = _UNKNOWN_TOPIC | {KafkaError.TOPIC_AUTHORIZATION_FAILED}
        configs: dict[str, dict[str, str]] = {}
        for resource, answer in answers.items():
            entries = self._wait(f"read the settings of topic '{resource.name}'", answer, may_be)
            configs[resource.name] = {
                key: entry.value
                for key, entry in (entries or {}).items()
                if entry.value is not None
            }
        return configs

    # Changes

    def create(self, topics: Sequence[NewTopic]) -> None:
        if not topics:
            return
        answers = self._open().create_topics(
            [
                ClientTopic(
                    topic.name,
                    num_partitions=topic.partitions,
                    replication_factor=topic.replication_factor,
                    config=dict(topic.config),
                )
                for topic in topics
            ],
            operation_timeout=ANSWER_TIMEOUT_S,
            request_timeout=ANSWER_TIMEOUT_S,
        )
        for name, answer in answers.items():
            self._wait(f"create topic '{name}'", answer, {KafkaError.TOPIC_ALREADY_EXISTS})
        wanted = {topic.name: max(topic.partitions, 1) for topic in topics}
        self._until_known(lambda known: all(known.get(name, 0) > 0 for name in wanted))

    def delete(self, names: Iterable[str]) -> None:
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return
        answers = self._open().delete_topics(
            wanted, operation_timeout=ANSWER_TIMEOUT_S, request_timeout=ANSWER_TIMEOUT_S
        )
        for name, answer in answers.items():
            self._wait(f"delete topic '{name}'", answer, _UNKNOWN_TOPIC)
        self._until_known(lambda known: not any(name in known for name in wanted))

    def add_partitions(self, name: str, count: int) -> None:
        if self.topics().get(name) == count:
            return
        answers = self._open().create_partitions(
            [NewPartitions(name, count)],
            operation_timeout=ANSWER_TIMEOUT_S,
            request_timeout=ANSWER_TIMEOUT_S,
        )
        self._wait(f"grow topic '{name}' to {count} partitions", answers[name])
        self._until_known(lambda known: known.get(name, 0) >= count)

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        if before:
            self._settled(lambda: self._delete_records(before))

    def _delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        answers = self._open().delete_records(
            [ClientPartition(*one, offset) for one, offset in before.items()],
            operation_timeout=ANSWER_TIMEOUT_S,
            request_timeout=ANSWER_TIMEOUT_S,
        )
        for one, answer in answers.items():
            self._wait(
                f"delete the records of {one.topic}[{one.partition}] before {one.offset}", answer
            )

    def _until_known(self, is_known: Callable[[dict[str, int]], bool]) -> None:
        """Wait until as many answers in a row as there are brokers agree.

        Each answer comes from any of the brokers.
        """
        deadline_s = self._clock.monotonic_s() + ANSWER_TIMEOUT_S
        agreed = 0
        while True:
            metadata = self._metadata()
            known = {
                name: len(topic.partitions)
                for name, topic in metadata.topics.items()
                if topic.error is None and all(one.leader >= 0 for one in topic.partitions.values())
            }
            agreed = agreed + 1 if is_known(known) else 0
            if agreed >= len(metadata.brokers):
                return
            if self._clock.monotonic_s() > deadline_s:
                raise RestartError(
                    "the brokers accepted a change of topics, but do not all know of it after "
                    f"{ANSWER_TIMEOUT_S:g} s; look at their logs"
                )
            if not agreed:
                self._clock.sleep(_VISIBILITY_PAUSE_S)

    # Offsets and groups

    def offsets(
        self, partitions: Iterable[TopicPartition], at: Literal["earliest", "latest"] | int
    ) -> dict[TopicPartition, int]:
        wanted = list(partitions)
        if at == "earliest":
            return self._listed(wanted, OffsetSpec.earliest())  # type: ignore[no-untyped-call] # untyped in the client
        if at == "latest":
            return self._listed(wanted, OffsetSpec.latest())  # type: ignore[no-untyped-call] # untyped in the client
        found = self._listed(wanted, OffsetSpec.for_timestamp(at))
        later = [one for one in wanted if found[one] < 0]
        return found | self._listed(later, OffsetSpec.latest())  # type: ignore[no-untyped-call] # untyped in the client

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        at_end = OffsetSpec.latest()  # type: ignore[no-untyped-call] # untyped in the client
        return self._listed(list(partitions), at_end, IsolationLevel.READ_UNCOMMITTED)

    def _listed(
        self,
        partitions: list[TopicPartition],
        at: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[TopicPartition, int]:
        return self._settled(lambda: self._list(partitions, at, isolation)) if partitions else {}

    def _check_existing(self, partitions: Iterable[TopicPartition]) -> None:
        """The client's "No leaders found" says of topics that are not there what it says of those that wait for a leader."""
        known = self.topics()
        for partition in partitions:
            if partition.partition >= known.get(partition.topic, 0):
                raise RestartError(f"could not look up an offset of {partition}: it does not exist")

    def _list(
        self, partitions: list[TopicPartition], at: OffsetSpec, isolation: IsolationLevel
    ) -> dict[TopicPartition, int]:
        answers = self._open().list_offsets(
            {ClientPartition(*one): at for one in partitions},
            isolation_level=isolation,
            request_timeout=ANSWER_TIMEOUT_S,
        )
        try:
            return {
                TopicPartition(one.topic, one.partition): self._wait(
                    f"look up an offset of {one.topic}[{one.partition}]", answer
                ).offset
                for one, answer in answers.items()
            }
        except BrokerUnavailableError as error:
            if _code(error) == KafkaError._NOENT:
                self._check_existing(partitions)
            raise

    def group_members(self, group: str) -> list[GroupMember]:
        return self._settled(lambda: self._group_members(group))

    def _group_members(self, group: str) -> list[GroupMember]:
        found = self._of_group(
            f"describe group '{group}'",
            lambda client: client.describe_consumer_groups(
                [group], request_timeout=CLIENT_TIMEOUT_S
            )[group],
        )
        return [
            GroupMember(
                member_id=member.member_id,
                client_id=member.client_id,
                instance_id=member.group_instance_id or None,
                assignment=frozenset(
                    TopicPartition(one.topic, one.partition)
                    for one in (member.assignment.topic_partitions if member.assignment else ())
                ),
            )
            for member in (found.members if found is not None else ())
        ]

    def group_positions(self, group: str) -> dict[TopicPartition, int]:
        partitions = [
            TopicPartition(name, number)
            for name, count in self.topics().items()
            for number in range(count)
        ]
        return self._settled(lambda: self._group_positions(group, partitions))

    def _group_positions(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        with self._lock:
            try:
                return self._positions.of(group, partitions)
            except KafkaException as exception:
                error = kafka_error(exception)
                if error.code() == KafkaError._TIMED_OUT and not self._log.is_down:
                    raise RestartError(
                        f"the positions of group '{group}' were not told within {ANSWER_TIMEOUT_S:g} s: an open "
                        "transaction holds them; stop the group's workers or wait for the transaction's end"
                    ) from exception
                raise self._refused(f"read the positions of group '{group}'", error) from exception

    def delete_group(self, group: str) -> None:
        self._settled(lambda: self._delete_group(group))

    def _delete_group(self, group: str) -> None:
        self._of_group(
            f"forget group '{group}'",
            lambda client: client.delete_consumer_groups([group], request_timeout=CLIENT_TIMEOUT_S)[
                group
            ],
        )

    def _of_group(self, doing: str, ask: Callable[[AdminClient], Future[Any]]) -> Any:
        """What the coordinator of a group answers; None when there is no such group."""
        return self._told(
            doing,
            lambda: self._groups.run(ask, ANSWER_TIMEOUT_S),
            {KafkaError.GROUP_ID_NOT_FOUND},
        )

    # Asking

    def _settled(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again, for as long as an answer may take, while the cluster settles."""
        deadline_s = self._clock.monotonic_s() + ANSWER_TIMEOUT_S
        while True:
            try:
                return ask()
            except HeadraceError as error:
                code = _code(error)
                if code not in _SETTLING or self._clock.monotonic_s() > deadline_s:
                    raise
            self._clock.sleep(_SETTLING_PAUSE_S)
            if code in _MOVED:
                self._metadata()

    def _metadata(self) -> Any:
        try:
            found = self._open().list_topics(timeout=ANSWER_TIMEOUT_S)
        except KafkaException as exception:
            self._open().poll(0)  # lets the client say why, if it knows more than a time-out
            raise self._refused("list the topics", kafka_error(exception)) from exception
        self._log.answered()
        return found

    def _wait(self, doing: str, answer: Future[Answer], may_be: Iterable[int] = frozenset()) -> Any:
        """The answer, or None for an error whose code is in `may_be`."""
        return self._told(doing, lambda: answer.result(timeout=_FUTURE_TIMEOUT_S), may_be)

    def _told(self, doing: str, wait: Callable[[], Answer], may_be: Iterable[int]) -> Any:
        try:
            self._open()
            found = wait()
        except KafkaException as exception:
            error = kafka_error(exception)
            if error.code() in may_be:
                return None
            raise self._refused(doing, error) from exception
        except TimeoutError as error:
            raise unavailable(self._brokers, ANSWER_TIMEOUT_S) from error
        finally:
            self._open().poll(0)  # lets the client's log lines out
        self._log.answered()
        return found

    def _refused(self, doing: str, error: KafkaError) -> HeadraceError:
        if error.code() in UNAVAILABLE:
            last = self._log.last_error
            return unavailable(self._brokers, ANSWER_TIMEOUT_S, last.str() if last else error.str())
        if error.code() in _SETTLING:
            return BrokerUnavailableError(
                f"could not {doing} within {ANSWER_TIMEOUT_S:g} s: {error.str()}"
            )
        return RestartError(f"could not {doing}: {error.str()}")

    def _open(self) -> AdminClient:
        if self._client is None:
            raise ClosedError("the administration client is closed")
        return self._client

    def close(self) -> None:
        self._client = None
        self._groups.close()
        with self._lock:
            self._positions.close()


def _code(error: HeadraceError) -> int | None:
    """The client's code behind an error, if it was the client's."""
    cause = error.__cause__
    return kafka_error(cause).code() if isinstance(cause, KafkaException) else None
