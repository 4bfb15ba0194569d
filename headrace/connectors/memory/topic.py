"""A topic in memory: its partitions and its settings."""

import re

from headrace.connectors.memory.log import PartitionLog
from headrace.runtime.contracts.broker import NewTopic, TopicDescription, TopicPartition
from headrace.runtime.errors import RestartError

_DEFAULTS = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "retention.ms": "604800000",
}
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class Topic:
    """Settings are kept and described, but records are never deleted by time or compacted."""

    def __init__(self, new: NewTopic) -> None:
        self.name = new.name
        self.logs: list[PartitionLog] = []
        self.description = TopicDescription(
            name=new.name,
            partitions=0,
            replication_factor=max(new.replication_factor, 1),
            config={**_DEFAULTS, **new.config},
        )
        # Asked for every record, so worked out once.
        self.is_compacted = "compact" in self.description.config["cleanup.policy"]
        self.is_stamped = self.description.is_stamped_by_broker
        self.message_bytes_max = self.description.message_bytes_max
        self.grow(1 if new.partitions == -1 else new.partitions)

    def grow(self, count: int) -> None:
        """Have `count` partitions, which is not fewer than there are."""
        for number in range(len(self.logs), count):
            self.logs.append(PartitionLog(TopicPartition(self.name, number)))
        self.description = TopicDescription(
            name=self.name,
            partitions=count,
            replication_factor=self.description.replication_factor,
            config=self.description.config,
        )


def check_new_topic(new: NewTopic) -> None:
    """Refuse what Kafka refuses.

    Raises:
        RestartError: the name or the number of partitions is not legal.
    """
    if not _LEGAL_NAME.fullmatch(new.name) or new.name in (".", ".."):
        raise RestartError(
            f"could not create topic '{new.name}': "
            "a name has 1 to 249 letters, digits, '.', '_' or '-'"
        )
    if new.partitions != -1 and new.partitions < 1:
        raise RestartError(
            f"could not create topic '{new.name}': "
            f"it needs at least 1 partition, not {new.partitions}"
        )
