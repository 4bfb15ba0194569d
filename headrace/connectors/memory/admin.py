"""Administration of the broker in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from headrace.connectors.memory.cluster import Cluster
from headrace.connectors.memory.log import PartitionLog
from headrace.connectors.memory.topic import Topic, check_new_topic
from headrace.runtime.contracts.broker import (
    ClusterDescription,
    GroupMember,
    NewTopic,
    TopicDescription,
    TopicPartition,
)
from headrace.runtime.errors import ClosedError, RestartError


class MemoryAdmin:
    """See `contracts.broker.Admin`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._is_closed = False

    @contextmanager
    def _asking(self) -> Iterator[Cluster]:
        """The cluster, locked, if it answers; what has timed out has ended."""
        if self._is_closed:
            raise ClosedError("the administration client is closed")
        with self._cluster.changed:
            self._cluster.check_running()
            now_ms = self._cluster.clock.now_ms()
            self._cluster.transactions.expire(now_ms)
            for group in self._cluster.groups.values():
                group.expire(now_ms)
            yield self._cluster

    def cluster(self) -> ClusterDescription:
        with self._asking() as cluster:
            return ClusterDescription(
                cluster_id="memory", nodes=(cluster.name,), controller=cluster.name
            )

    def topics(self) -> dict[str, int]:
        with self._asking() as cluster:
            return dict(sorted(cluster.partitions().items()))

    def describe(self, names: Iterable[str]) -> dict[str, TopicDescription]:
        with self._asking() as cluster:
            return {
                name: cluster.topics[name].description
                for name in dict.fromkeys(names)
                if name in cluster.topics
            }

    def create(self, topics: Sequence[NewTopic]) -> None:
        with self._asking() as cluster:
            for new in topics:
                if new.name not in cluster.topics:
                    check_new_topic(new)
                    cluster.topics[new.name] = Topic(new)
            cluster.topics_changed()

    def delete(self, names: Iterable[str]) -> None:
        with self._asking() as cluster:
            for name in names:
                if cluster.topics.pop(name, None) is None:
                    continue
                cluster.transactions.forget_topic(name)
                for group in cluster.groups.values():
                    for partition in [one for one in group.committed if one.topic == name]:
                        del group.committed[partition]
            cluster.topics_changed()

    def add_partitions(self, name: str, count: int) -> None:
        with self._asking() as cluster:
            topic = cluster.topics.get(name)
            if topic is None:
                raise RestartError(
                    f"could not grow topic '{name}' to {count} partitions: it does not exist"
                )
            if count < len(topic.logs):
                raise RestartError(
                    f"could not grow topic '{name}' to {count} partitions: "
                    f"it has {len(topic.logs)}, and partitions cannot be taken away"
                )
            topic.grow(count)
            cluster.topics_changed()

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        with self._asking() as cluster:
            for partition, offset in before.items():
                log = cluster.log(partition)
                if offset > log.end:
                    raise RestartError(
                        f"could not delete the records of {partition} before {offset}: "
                        f"it ends at {log.end}"
                    )
                log.delete_before(offset)

    def offsets(
        self, partitions: Iterable[TopicPartition], at: Literal["earliest", "latest"] | int
    ) -> dict[TopicPartition, int]:
        with self._asking() as cluster:
            return {one: _offset(cluster.log(one), at) for one in partitions}

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        with self._asking() as cluster:
            return {one: cluster.log(one).end for one in partitions}

    def group_members(self, group: str) -> list[GroupMember]:
        with self._asking() as cluster:
            found = cluster.groups.get(group)
            return [
                GroupMember(
                    member_id=member.id,
                    client_id=member.client_id,
                    instance_id=member.instance_id,
                    assignment=frozenset(member.owned),
                )
                for member in (found.members() if found else ())
            ]

    def group_positions(self, group: str) -> dict[TopicPartition, int]:
        with self._asking() as cluster:
            found = cluster.groups.get(group)
            return dict(found.committed) if found else {}

    def delete_group(self, group: str) -> None:
        with self._asking() as cluster:
            found = cluster.groups.get(group)
            if found is None:
                return
            if not found.is_empty:
                raise RestartError(
                    f"could not forget group '{group}': it has members; stop its workers first"
                )
            found.committed.clear()

    def close(self) -> None:
        self._is_closed = True


def _offset(log: PartitionLog, at: Literal["earliest", "latest"] | int) -> int:
    if at == "earliest":
        return log.start
    if at == "latest":
        return log.stable_end
    return log.offset_at(at)
