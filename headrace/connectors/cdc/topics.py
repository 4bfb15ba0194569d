"""The topics of captured tables, made when their tables are first met."""

from types import TracebackType

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.source import SourcePlace
from headrace.connectors.cdc.tables import TableName, topic_of
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.contracts.feed import FeedPlace, FeedStatus


class Topics:
    """Knows the topics of the cluster and makes those that are missing. Belongs to the feed's thread."""

    def __init__(self, place: FeedPlace, config: CdcConfig) -> None:
        self._place = place
        self._config = config
        self._admin = place.admin()
        self._partitions: dict[str, int] = {}
        self._prefix = ""

    def __enter__(self) -> "Topics":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admin.close()

    def source_place(self, prefix: str) -> SourcePlace:
        """What a source is made with that writes to these topics."""
        self._prefix = prefix
        return SourcePlace(
            config=self._config,
            prefix=prefix,
            name=self._place.name,
            settings=self._place.settings,
            clock=self._place.clock,
            stopped=self._place.stopped,
            topic=self.of_table,
            partitions=self.partitions,
            tell=lambda text: self._place.report(FeedStatus(state="starting", text=text)),
        )

    def of_table(self, name: TableName) -> str:
        """The topic of a table, which exists when this returns."""
        topic = topic_of(self._prefix, name)
        self.partitions(topic)
        return topic

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; it is made when it is not there."""
        if topic not in self._partitions:
            self._partitions |= self._admin.topics()
        if topic not in self._partitions:
            kept = {"cleanup.policy": "compact"} if self._config.cleanup == "compact" else {}
            count = self._config.partitions or -1
            self._admin.create([NewTopic(name=topic, partitions=count, config=kept)])
            self._partitions |= self._admin.topics()
        return self._partitions[topic]
