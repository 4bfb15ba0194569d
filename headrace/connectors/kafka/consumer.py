"""A member of a consumer group over confluent-kafka.

Rebalances run inside the client's `consume`, while it may already have collected records.
What makes them safe:

- Records of a partition that went away during the call are dropped: its next owner reads them.
- The client pauses every partition for a rebalance and later goes on from the position that it
  noted then. Where the pause met a call that was collecting, that position is too old:
  `_floors` drops what was returned already.
- `positions` during a callback are those of the last return, because what this very call
  collected was not processed yet.
- An exception that left a callback would make the client throw away the records it collected:
  it is kept, and raised afterwards.
"""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore
# asserts mark mistakes of the engine

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka.assignment import Assignment
from headrace.connectors.kafka.batches import collect, has_events, tell_apart
from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import explain_refusal
from headrace.connectors.kafka.consumer_settings import (
    GroupProtocol,
    ProtocolChoice,
    consumer_configuration,
    is_eager,
    whole_names,
)
from headrace.connectors.kafka.errors import (
    ANSWER_TIMEOUT_S,
    GENERATION_OVER,
    INSTANCE_TAKEN,
    PROTOCOL_REFUSED,
    REBALANCING,
    REFUSED_FOR_GOOD,
    UNAVAILABLE,
    fatal_cause,
    kafka_error,
    lost_records,
    missing_topic,
    unavailable,
)
from headrace.connectors.kafka.positions import ReadPositions, offsets_of, partition_of
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import (
    ConsumerSettings,
    RebalanceListener,
    TopicPartition,
)
from headrace.runtime.contracts.broker import Message as BrokerMessage
from headrace.runtime.errors import (
    ClosedError,
    FencedError,
    HeadraceError,
    RestartError,
    TransactionError,
)

_TOPICS_TIMEOUT_S = 1.0
_DRAIN_COUNT = 10_000
_DRAINS_MAX = 10
# A predecessor that died between two steps of its commit holds its positions until its transaction times out.
_OPEN_TRANSACTION_S = 60.0
_FLOORS_S = 60.0  # a partition without new records must not keep every batch on the slow path


class KafkaConsumer:
    """See `contracts.broker.Consumer`."""

    def __init__(
        self,
        brokers: str,
        client: Mapping[str, str],
        settings: ConsumerSettings,
        choice: ProtocolChoice,
    ) -> None:
        self._brokers = brokers
        self._user_settings = {**client, **settings.client}
        self._settings = settings
        self._choice = choice
        self._who = f"group '{settings.group}'"
        self._log = KafkaLog(settings.client_id, brokers)
        self._clock = SystemClock()
        self._topics: list[str] = []
        self._listener: RebalanceListener | None = None
        self._positions = ReadPositions()  # as of when `consume` returned last
        self._floors: dict[TopicPartition, int] = {}
        self._floors_end_s = 0.0
        self._gone: set[TopicPartition] = set()  # taken away during this call
        # Given in this call after they were taken away, or to begin paused: nothing collected counts.
        self._renewed: dict[TopicPartition, int] = {}
        self._stale: set[TopicPartition] = set()  # of these, what something was collected of
        self._held: list[Message] = []  # collected by a call that raised
        self._failure: BaseException | None = None  # raised by the listener
        self._errors: list[tuple[KafkaError, Message | None]] = []  # in the stream, not raised yet
        self._is_rebalanced = False
        self._is_doubtful = False  # whether every topic still exists
        self._is_closing = False
        self._is_closed = False
        self._has_joined = False
        self._open(choice.first(settings.protocol))

    # Joining

    def _open(self, protocol: GroupProtocol) -> None:
        self._protocol = protocol
        configuration = consumer_configuration(
            self._brokers, self._user_settings, self._settings, protocol
        )
        try:
            self._client = Consumer(
                configuration | {"logger": self._log, "error_cb": self._log.on_error}
            )
        except KafkaException as error:
            raise explain_refusal(kafka_error(error).str(), self._user_settings) from error
        self._poll: Callable[[int, float], list[Message]] = self._client.consume
        self._assignment = Assignment(self._client, is_eager=is_eager(self._settings, protocol))
        self._assigned = self._assignment.begins

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._check_open()
        self._topics, self._listener = list(topics), listener
        self._is_doubtful = True
        self._client.subscribe(
            [whole_names(name) for name in topics],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _fall_back(self, error: KafkaError) -> bool:
        """Join by the classic protocol when the brokers or the group do not speak the next one."""
        if (
            self._settings.protocol != "auto"
            or self._protocol == "classic"
            or self._has_joined
            or error.code() not in PROTOCOL_REFUSED
        ):
            return False
        if error.code() in (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE):
            self._choice.is_classic_only = True
        self._client.close()
        self._log.fatal = None
        self._errors.clear()
        self._open("classic")
        assert self._listener is not None
        self.subscribe(self._topics, self._listener)
        return True

    # Reading

    def consume(self, count: int, timeout_s: float) -> list[BrokerMessage]:
        self._check_open()
        if self._held:
            return self._return_held()
        try:
            messages = collect(self._poll, count, timeout_s)
        except KafkaException as exception:
            self._raise_for(kafka_error(exception), None)
            return []
        if has_events(messages):
            messages, ends, errors = tell_apart(messages)
            self._errors += errors
            self._note_ends(ends)
        if (
            self._is_rebalanced
            or self._is_doubtful
            or self._floors
            or self._errors
            or self._log.fatal is not None
        ):
            messages = self._inspect(messages)
        if messages and self._log.is_down:
            self._log.answered()
        self._positions.returned(messages)
        return cast("list[BrokerMessage]", messages)

    def _note_ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note which partitions end here; one that was taken away and given back has not begun yet."""
        self._stale.update(self._renewed.keys() & ends.keys())
        fresh = (ends.keys() & self._assigned.keys()) - self._stale
        self._positions.reached({one: ends[one] for one in fresh})

    def _return_held(self) -> list[BrokerMessage]:
        messages, self._held = self._held, []
        self._positions.returned(messages)
        return cast("list[BrokerMessage]", messages)

    def _inspect(self, messages: list[Message]) -> list[Message]:
        """Drop records that must not be returned and raise what has happened, if anything has."""
        rebalanced = self._is_rebalanced
        if rebalanced:
            self._raise_floors()
        kept: list[Message] = []
        floors = self._floors
        if self._clock.monotonic_s() > self._floors_end_s:
            floors.clear()
        for message in messages:
            partition = partition_of(message)
            if partition not in self._assigned:
                continue
            if partition in self._renewed:
                self._stale.add(partition)
                continue
            offset = cast("int", message.offset())
            floor = floors.get(partition)
            if floor is not None:
                if offset < floor:
                    continue
                if rebalanced:
                    floors[partition] = offset + 1
                else:
                    del floors[partition]
            kept.append(message)
        again = {partition: self._renewed[partition] for partition in self._stale}
        self._is_rebalanced = False
        self._gone.clear()
        self._renewed.clear()
        self._stale.clear()
        try:
            self._raise_what_happened()
            self._check_topics()
            if again:
                self.seek(again)
        except BaseException:
            # Nothing of this call was returned: its positions stay those of the call before.
            self._held = kept
            raise
        return kept

    def _raise_floors(self) -> None:
        """Note what was returned already: for a rebalance the client may go back to before it."""
        for partition, offset in self._positions.next.items():
            if partition in self._assigned:
                self._floors[partition] = max(self._floors.get(partition, 0), offset)
        for partition in [one for one in self._floors if one not in self._assigned]:
            del self._floors[partition]
        self._floors_end_s = self._clock.monotonic_s() + _FLOORS_S

    def _raise_what_happened(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._log.fatal is not None and self._fall_back(self._log.fatal):
            return
        errors, self._errors = self._errors, []
        while errors:
            first = errors.pop(0)
            try:
                self._raise_for(*first)
            except HeadraceError:
                self._errors += errors
                raise
        if self._log.fatal is not None:
            self._raise_for(self._log.fatal, None)

    def _check_topics(self) -> None:
        """Look for topics that are missing, after joining and when partitions went away.

        With the next-generation group protocol the brokers say nothing about a topic that does not
        exist, or not any more: its partitions are just revoked.
        """
        if not self._is_doubtful or self._log.is_down:
            return
        try:
            existing = self._client.list_topics(timeout=_TOPICS_TIMEOUT_S).topics
        except KafkaException as exception:
            self._log.on_error(kafka_error(exception))
            return
        self._is_doubtful = False
        for name in self._topics:
            if not name.startswith("^") and name not in existing:
                raise missing_topic(self._who, name)

    def _raise_for(self, error: KafkaError, message: Message | None) -> None:
        """Raise what an error in the stream asks for; return when it passes by itself."""
        code = error.code()
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and message:
            partition = partition_of(message)
            raise lost_records(
                self._client,
                self._who,
                partition,
                self._begin_of(partition, message),
                "the flow read them: look at the topic's retention, then reset the group's position",
            )
        if code == KafkaError._FATAL:
            error = self._log.fatal or fatal_cause(error)
            code = error.code()
        if self._fall_back(error):
            return
        group = self._settings.group
        if code in INSTANCE_TAKEN:
            raise FencedError(
                f"another member of group '{group}' has the instance id "
                f"'{self._settings.instance_id}' ({error.str()})"
            )
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise missing_topic(self._who, message.topic() if message else None)
        if error.fatal() or code in REFUSED_FOR_GOOD:
            raise RestartError(f"group '{group}' cannot go on reading: {error.str()}")
        if self._log.is_outage(error):
            self._log.outage(error)
        else:
            self._log.on_error(error)

    def _begin_of(self, partition: TopicPartition, message: Message) -> int | None:
        offset = message.offset()
        return offset if offset is not None and offset >= 0 else self.positions().get(partition)

    # Rebalances, called by the client inside `consume` and `close`

    def _on_assign(self, _: Consumer, partitions: list[ClientPartition]) -> None:
        if self._is_closing:  # this member goes; the client answers the group by itself
            return
        self._is_rebalanced = self._has_joined = True
        names = _named(partitions)
        begins: dict[TopicPartition, int] = {}
        if names and self._listener is not None:
            try:
                offsets = self._listener.assigned(names)
                begins = {one: offsets[one] for one in names}
            except BaseException as error:  # the client would lose records; raised by consume
                self._failure = self._failure or error
        paused = self._assignment.add(begins)
        again = paused | self._gone
        self._renewed.update({one: begin for one, begin in begins.items() if one in again})
        self._positions.assign(self._assigned)

    def _on_revoke(self, _: Consumer, partitions: list[ClientPartition]) -> None:
        assert self._listener is not None
        self._take_away(_named(partitions), self._listener.revoked)

    def _on_lost(self, _: Consumer, partitions: list[ClientPartition]) -> None:
        assert self._listener is not None
        self._take_away(_named(partitions), self._listener.lost)

    def _take_away(
        self,
        partitions: Iterable[TopicPartition],
        tell: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        self._is_rebalanced = self._is_doubtful = True
        names = [one for one in partitions if one in self._assigned]
        if names:
            try:
                tell(names)
            except BaseException as error:  # the client would lose records; raised by consume
                self._failure = self._failure or error
        self._assignment.remove(names)
        self._gone.update(names)
        self._forget(names)
        for name in names:
            self._renewed.pop(name, None)
            self._stale.discard(name)
        self._positions.assign(self._assigned)

    def _forget(self, names: Iterable[TopicPartition]) -> None:
        """Drop what is known of these partitions: positions and records that were held."""
        dropped = set(names)
        self._positions.forget(dropped)
        for name in dropped:
            self._floors.pop(name, None)
        self._held = [one for one in self._held if partition_of(one) not in dropped]

    # Positions

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def positions(self) -> dict[TopicPartition, int]:
        return dict(self._positions.next)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._check_open()
        wanted = [ClientPartition(*one) for one in partitions]
        if not wanted:
            return {}
        deadline_s = self._clock.monotonic_s() + _OPEN_TRANSACTION_S
        while True:
            try:
                found = self._client.committed(wanted, timeout=ANSWER_TIMEOUT_S)
                break
            except KafkaException as exception:
                error = kafka_error(exception)
                is_waiting = error.code() == KafkaError._TIMED_OUT and not self._log.is_down
                if not is_waiting or self._clock.monotonic_s() > deadline_s:
                    raise self._refused("read the positions", error) from exception
        for one in found:
            if one.error is not None:
                raise self._refused("read the positions", one.error)
        return offsets_of(found)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        collected = self._collected()
        for partition, offset in positions.items():
            assert partition in self._assigned, f"{partition} is not assigned"
            try:
                self._assignment.seek(partition, offset, collected)
            except KafkaException as exception:
                raise self._refused(f"seek {partition}", kafka_error(exception)) from exception
        self._forget(positions)
        self._positions.next.update(positions)

    def _collected(self) -> dict[TopicPartition, int]:
        """The offsets after everything that was taken from the client, returned or held."""
        held = {partition_of(one): cast("int", one.offset()) + 1 for one in self._held}
        return self._positions.next | held

    def caught_up(self) -> frozenset[TopicPartition]:
        return self._positions.caught_up() - {partition_of(one) for one in self._held}

    def ends(self) -> dict[TopicPartition, int]:
        return self._assignment.ends()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        self._assignment.pause(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        self._assignment.resume(partitions)

    # Committing

    def group_metadata(self) -> Any:
        self._check_open()
        return self._client.consumer_group_metadata()

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        if not positions:
            return
        offsets = [ClientPartition(*one, offset) for one, offset in positions.items()]
        try:
            done = self._client.commit(offsets=offsets, asynchronous=False)
        except KafkaException as exception:
            raise self._refused("commit the positions", kafka_error(exception)) from exception
        for one in done:
            if one.error is not None:
                raise self._refused("commit the positions", one.error)

    def _refused(self, doing: str, error: KafkaError) -> HeadraceError:
        code = error.code()
        what = f"could not {doing} of group '{self._settings.group}'"
        if code in GENERATION_OVER or code in REBALANCING:
            return TransactionError(f"{what}: the group has moved on ({error.str()})")
        if code in UNAVAILABLE:
            return unavailable(self._brokers, ANSWER_TIMEOUT_S, error.str())
        return RestartError(f"{what}: {error.str()}")

    # The end

    def close(self) -> None:
        if self._is_closed or self._is_closing:
            return
        self._is_closing = True
        try:
            # The listener may commit for the last time. A client that is closing itself sometimes
            # refuses that with `_DESTROY`, so everything is given back before it is told to close.
            # That answers a revocation under way; if it were told of only while the client closes,
            # the second answer might wait for ever (test_what_is_under_way_is_served_before_closing).
            if self._listener is not None and self._assigned:
                with suppress(KafkaException):
                    self._take_away(list(self._assigned), self._listener.revoked)
            with suppress(KafkaException):
                for _ in range(_DRAINS_MAX):
                    if not self._poll(_DRAIN_COUNT, 0):
                        break
            with suppress(KafkaException):
                self._client.close()
        finally:
            self._is_closed = True
            self._take_note_of_leaving()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _take_note_of_leaving(self) -> None:
        self._forget(list(self._assigned))
        self._assignment.forget()
        self._positions.next.clear()
        self._held = []

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the consumer '{self._settings.client_id}' is closed")


def _named(partitions: Iterable[ClientPartition]) -> list[TopicPartition]:
    return [TopicPartition(one.topic, one.partition) for one in partitions]
