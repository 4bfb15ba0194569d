"""Looks whether the rows of a table are where the records are sent that ask for them."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.partitioning import partition_of
from headrace.runtime.plan import Plan

logger = logging.getLogger(__name__)

LOOK_MAX = 100
"""Rows of each partition that are looked at."""


class TablePlacing:
    """Tells, once for each table, that its writer puts keys elsewhere. Belongs to the member's thread.

    Only tables matter that are joined with records that headrace itself brings to the partition of their key; where both
    topics are others', their writers may well agree.
    """

    def __init__(self, plans: Iterable[Plan], counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._left: dict[TopicPartition, int] = {}
        self._stages: dict[str, str] = {}
        for plan in plans:
            for sub in plan.sub_topologies:
                moved = {source.stage for source in sub.sources if source.via == "repartition"}
                for source in sub.sources:
                    if source.via == "table" and source.stage in moved:
                        self._stages[source.topics[0]] = source.stage

    def look(self, partition: TopicPartition, messages: Sequence[Message]) -> None:
        """Look at the first rows of a partition."""
        stage = self._stages.get(partition.topic)
        left = self._left.get(partition, LOOK_MAX)
        if stage is None or left <= 0:
            return
        self._left[partition] = left - len(messages)
        count = self._counts[partition.topic]
        for message in messages[:left]:
            key = message.key()
            if key is not None and partition_of(key, count) != partition.partition:
                del self._stages[partition.topic]
                logger.error(
                    "stage '%s' will not find rows of its table: a key of %s belongs into partition %d by the hash (murmur2) that"
                    " headrace and Kafka's own clients use; let whoever fills '%s' use it too (librdkafka:"
                    " partitioner=murmur2_random), or give the stage `global: true`",
                    stage,
                    partition,
                    partition_of(key, count),
                    partition.topic,
                )
                return
