"""The transaction coordinator: who may write under a transactional id, and what is open."""

from dataclasses import dataclass, field

from headrace.connectors.memory.group import Group
from headrace.connectors.memory.log import PartitionLog
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import FencedError


@dataclass(eq=False)
class Transaction:
    """What one open transaction has done so far."""

    begun_ms: int
    timeout_ms: int
    appended: dict[PartitionLog, list[int]] = field(default_factory=dict)
    positions: dict[str, tuple[Group, dict[TopicPartition, int]]] = field(default_factory=dict)

    def add_positions(self, group: Group, positions: dict[TopicPartition, int]) -> None:
        """Replace what the transaction commits for `group` in these partitions."""
        self.positions.setdefault(group.name, (group, {}))[1].update(positions)


class Transactions:
    """One epoch per transactional id; a producer with an older one is fenced.

    Not locked: the cluster's lock is held by whoever calls.
    """

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._open: dict[str, Transaction] = {}

    def fence(self, transactional_id: str) -> int:
        """Abort what is open under the id and return a new epoch for its next producer."""
        self.end(transactional_id, is_committed=False)
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        return self._epochs[transactional_id]

    def is_fenced(self, transactional_id: str, epoch: int) -> bool:
        return self._epochs.get(transactional_id) != epoch

    def check(self, transactional_id: str, epoch: int, doing: str) -> None:
        """Raise FencedError for a producer whose epoch is over."""
        if self.is_fenced(transactional_id, epoch):
            raise FencedError(
                f"could not {doing} of '{transactional_id}': "
                "a newer producer has this transactional id, or the transaction took too long"
            )

    def begin(self, transactional_id: str, now_ms: int, timeout_ms: int) -> Transaction:
        transaction = Transaction(now_ms, timeout_ms)
        self._open[transactional_id] = transaction
        return transaction

    def end(self, transactional_id: str, *, is_committed: bool) -> None:
        """Show or hide the records of the open transaction, and apply or drop its positions."""
        transaction = self._open.pop(transactional_id, None)
        if transaction is None:
            return
        for log, offsets in transaction.appended.items():
            log.end_transaction(transactional_id, [] if is_committed else offsets)
        if is_committed:
            for group, positions in transaction.positions.values():
                group.committed.update(positions)

    def expire(self, now_ms: int) -> None:
        """Abort and fence the transactions whose time-out is over."""
        for transactional_id, transaction in list(self._open.items()):
            if now_ms - transaction.begun_ms > transaction.timeout_ms:
                self.fence(transactional_id)

    def forget_topic(self, topic: str) -> None:
        """Drop what open transactions hold of a topic that is deleted."""
        for transaction in self._open.values():
            for log in [one for one in transaction.appended if one.name.topic == topic]:
                del transaction.appended[log]
            for _, positions in transaction.positions.values():
                for partition in [one for one in positions if one.topic == topic]:
                    del positions[partition]
