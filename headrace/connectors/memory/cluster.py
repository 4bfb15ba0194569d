"""What all clients of one memory broker share."""

from collections.abc import Mapping
from threading import Condition, RLock

from headrace.connectors.memory.group import Group
from headrace.connectors.memory.log import PartitionLog
from headrace.connectors.memory.topic import Topic
from headrace.connectors.memory.transaction import Transactions
from headrace.runtime.clock import Clock, ManualClock
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.errors import BrokerUnavailableError, RestartError


class Cluster:
    """Topics, groups and transactions under one lock.

    The lock is held for short steps only and never while a listener or a callback runs. `changed`
    is notified when there may be something new to read or to own.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.changed = Condition(RLock())
        self.is_running = True
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self.transactions = Transactions()
        self.commits_to_fail = 0
        self.deliveries_to_fail: dict[str, int] = {}
        # A manual clock moves only when its test goes on: waiting for it would be for ever.
        self.may_wait = not isinstance(clock, ManualClock)
        self._members = 0
        self.topic_changes = 0

    def next_member_id(self, client_id: str) -> str:
        self._members += 1
        return f"{client_id}-{self._members}"

    def group(self, name: str) -> Group:
        return self.groups.setdefault(name, Group(name))

    def topics_changed(self) -> None:
        """Let groups look at the topics again."""
        self.topic_changes += 1
        self.changed.notify_all()

    def partitions(self) -> Mapping[str, int]:
        """The number of partitions of every topic."""
        return {name: len(topic.logs) for name, topic in self.topics.items()}

    def log(self, partition: TopicPartition) -> PartitionLog:
        """The log of a partition.

        Raises:
            RestartError: there is no such partition.
        """
        topic = self.topics.get(partition.topic)
        if topic is None or not 0 <= partition.partition < len(topic.logs):
            raise RestartError(f"partition {partition} does not exist at {self.name}")
        return topic.logs[partition.partition]

    def check_running(self) -> None:
        """Raise what a client raises when no broker answers."""
        if not self.is_running:
            raise BrokerUnavailableError(
                f"no broker answered at {self.name}; it was stopped, start it again"
            )
