"""Faults by name, for tests."""

from headrace.connectors.memory.cluster import Cluster
from headrace.runtime.contracts.broker import TopicPartition


class Faults:
    """What can go wrong with a memory broker, on demand. Each fault happens once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def fail_next_commit(self) -> None:
        """The next `commit_transaction` raises TransactionError; abort and go on."""
        with self._cluster.changed:
            self._cluster.commits_to_fail += 1

    def fail_next_delivery(self, topic: str) -> None:
        """The next record for `topic` is not accepted, as the next `flush` or commit tells."""
        with self._cluster.changed:
            failures = self._cluster.deliveries_to_fail
            failures[topic] = failures.get(topic, 0) + 1

    def fence(self, transactional_id: str) -> None:
        """As if another producer had begun with this transactional id."""
        with self._cluster.changed:
            self._cluster.transactions.fence(transactional_id)
            self._cluster.changed.notify_all()

    def lose(self, lost: TopicPartition | str) -> None:
        """Expel the members that own a partition, or those with a client id.

        They learn of it in their next `consume`: everything they own is lost, and they join anew.
        """
        with self._cluster.changed:
            for group in self._cluster.groups.values():
                for member in group.members():
                    if lost == member.client_id or lost in member.owned:
                        group.expel(member.id)
            self._cluster.changed.notify_all()
