"""A member of a consumer group in memory."""

# asserts mark mistakes of the engine

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from headrace.connectors.memory.cluster import Cluster
from headrace.connectors.memory.group import Group, GroupMetadata, Member
from headrace.connectors.memory.message import MemoryMessage
from headrace.runtime.contracts.broker import (
    ConsumerSettings,
    Message,
    RebalanceListener,
    TopicPartition,
)
from headrace.runtime.errors import (
    ClosedError,
    DataLossError,
    FencedError,
    RestartError,
    TransactionError,
)


class MemoryConsumer:
    """See `contracts.broker.Consumer`.

    Rebalances run at the beginning of `consume`, one listener call after the other, and reading
    after them. A member is seen whenever it consumes or commits; it is expelled when it was not seen for
    longer than its session and another member of the group asks for something.
    """

    def __init__(self, cluster: Cluster, settings: ConsumerSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._group: Group = cluster.group(settings.group)
        self._member: Member | None = None
        self._topics: tuple[str, ...] = ()
        self._listener: RebalanceListener | None = None
        self._next: dict[TopicPartition, int] = {}  # where each assigned partition goes on
        self._used: set[TopicPartition] = set()  # of which something was consumed or sought
        self._paused: set[TopicPartition] = set()
        self._caught_up: set[TopicPartition] = set()
        self._turn = 0
        self._is_closed = False

    # Joining

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._check_open()
        for name in topics:
            if name.startswith("^"):
                _check_pattern(name)
        self._topics, self._listener = tuple(topics), listener
        with self._cluster.changed:
            if self._member is not None:
                self._group.expel(self._member.id)
                self._member = None

    def _join(self) -> Member:
        with self._cluster.changed:
            member = Member(
                id=self._cluster.next_member_id(self._settings.client_id),
                client_id=self._settings.client_id,
                instance_id=self._settings.instance_id,
                topics=self._topics,
                assignor=self._settings.assignor,
                session_timeout_ms=self._settings.session_timeout_ms,
                seen_ms=self._cluster.clock.now_ms(),
            )
            self._group.join(member)
            self._cluster.changed.notify_all()
            self._member = member
            return member

    def _rebalance(self) -> None:
        """Give up what was lost or must move, then take what is free, telling the listener.

        1. A member that was expelled has lost everything, and joins anew.
        2. What belongs to others is revoked while this member may still commit.
        3. Only then it enters the group's epoch and takes what nobody owns.
        """
        listener = self._listener
        assert listener is not None, "subscribe first"
        member = self._member
        if member is not None and self._is_expelled(member):
            lost = sorted(self._next)
            self._drop(lost)
            self._member = member = None
            if lost:
                listener.lost(lost)
        if member is None:
            member = self._join()
        with self._cluster.changed:
            member.seen_ms = self._cluster.clock.now_ms()
            self._group.expire(member.seen_ms)
            self._group.rebalance(self._cluster.partitions(), self._cluster.topic_changes)
            revoked = self._group.to_revoke(member)
        if revoked:
            try:
                listener.revoked(revoked)
            finally:
                self._drop(revoked)
                with self._cluster.changed:
                    member.owned.difference_update(revoked)
                    self._cluster.changed.notify_all()
        with self._cluster.changed:
            member.epoch = self._group.epoch
            assigned = self._group.to_assign(member)
            member.owned.update(assigned)
        if assigned:
            self._take(member, assigned, listener)

    def _take(
        self, member: Member, assigned: list[TopicPartition], listener: RebalanceListener
    ) -> None:
        try:
            offsets = listener.assigned(assigned)
            self._next.update({partition: offsets[partition] for partition in assigned})
        except BaseException:
            self._drop(assigned)
            with self._cluster.changed:
                member.owned.difference_update(assigned)
            raise

    def _is_expelled(self, member: Member) -> bool:
        with self._cluster.changed:
            if self._group.is_fenced(member.id):
                raise FencedError(
                    f"another member of group '{self._group.name}' has the instance id "
                    f"'{member.instance_id}'"
                )
            return self._group.member(member.id) is not member

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._used.discard(partition)
            self._paused.discard(partition)
            self._caught_up.discard(partition)

    # Reading

    def consume(self, count: int, timeout_s: float) -> list[Message]:
        self._check_open()
        clock = self._cluster.clock
        deadline_s = clock.monotonic_s() + timeout_s
        while True:
            if self._cluster.is_running:
                self._rebalance()
            with self._cluster.changed:
                found = self._read(count) if self._cluster.is_running else []
                remaining_s = deadline_s - clock.monotonic_s()
                if found or not self._cluster.may_wait or remaining_s <= 0:
                    return cast("list[Message]", found)
                self._cluster.changed.wait(remaining_s)

    def _read(self, count: int) -> list[MemoryMessage]:
        self._cluster.transactions.expire(self._cluster.clock.now_ms())
        self._check_topics()
        partitions = [one for one in self._next if one not in self._paused]
        if not partitions:
            return []
        for partition in partitions:
            self._check_range(partition)
        # Each call begins with the next partition, so that none starves behind a long one.
        self._turn = (self._turn + 1) % len(partitions)
        found: list[MemoryMessage] = []
        for partition in partitions[self._turn :] + partitions[: self._turn]:
            log = self._cluster.log(partition)
            messages, after = log.read(self._next[partition], count - len(found))
            if messages:
                self._used.add(partition)
                self._caught_up.discard(partition)
                found += messages
            if after >= log.stable_end:
                self._caught_up.add(partition)
            self._next[partition] = after
        return found

    def _check_range(self, partition: TopicPartition) -> None:
        log, position = self._cluster.log(partition), self._next[partition]
        if not log.start <= position <= log.end:
            raise DataLossError(
                f"group '{self._group.name}' wants to read {partition} from offset {position}, "
                f"but the broker holds {log.start} to {log.end}; records were deleted before the "
                "flow read them: look at the topic's retention, then reset the group's position"
            )

    def _check_topics(self) -> None:
        for name in self._topics:
            if not name.startswith("^") and name not in self._cluster.topics:
                raise RestartError(
                    f"topic '{name}' does not exist, and group '{self._group.name}' reads it; "
                    "was it deleted? create it and start again"
                )

    # Positions

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._next)

    def positions(self) -> dict[TopicPartition, int]:
        return {one: offset for one, offset in self._next.items() if one in self._used}

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._check_open()
        with self._cluster.changed:
            self._cluster.check_running()
            committed = self._group.committed
            return {one: committed[one] for one in partitions if one in committed}

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        for partition, offset in positions.items():
            assert partition in self._next, f"{partition} is not assigned"
            self._next[partition] = offset
            self._used.add(partition)
            self._caught_up.discard(partition)

    def caught_up(self) -> frozenset[TopicPartition]:
        return frozenset(self._caught_up)

    def ends(self) -> dict[TopicPartition, int]:
        with self._cluster.changed:
            return {one: self._cluster.log(one).end for one in self._next}

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._check_open()
        self._paused.difference_update(partitions)

    # Committing

    def group_metadata(self) -> GroupMetadata:
        self._check_open()
        member = self._member
        if member is None:
            return GroupMetadata(self._group.name, "", -1)
        return GroupMetadata(self._group.name, member.id, member.epoch)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        metadata = self.group_metadata()
        with self._cluster.changed:
            self._cluster.check_running()
            if not self._group.accepts(metadata):
                raise TransactionError(
                    f"could not commit the positions of group '{self._group.name}': "
                    "the group has moved on"
                )
            if self._member is not None:
                self._member.seen_ms = self._cluster.clock.now_ms()
            self._group.committed.update(positions)

    # The end

    def close(self) -> None:
        if self._is_closed:
            return
        member = self._member
        try:
            owned = sorted(self._next)
            if owned and self._listener is not None and member is not None:
                with self._cluster.changed:
                    is_member = self._group.member(member.id) is member
                (self._listener.revoked if is_member else self._listener.lost)(owned)
        finally:
            self._is_closed = True
            self._drop(list(self._next))
            if member is not None:
                with self._cluster.changed:
                    self._group.leave(member)
                    self._cluster.changed.notify_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError(f"the consumer '{self._settings.client_id}' is closed")


def _check_pattern(name: str) -> None:
    try:
        re.compile(name)
    except re.error as error:
        raise RestartError(f"could not subscribe to '{name}': {error}") from error
