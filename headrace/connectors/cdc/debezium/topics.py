"""The topics of a Debezium connector, named as `CdcTrigger.source` reads them."""

from collections.abc import Sequence

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.debezium.properties import CLASSES, class_of
from headrace.connectors.cdc.tables import Tables, message_topic, topic_of
from headrace.runtime.contracts.feed import FeedTopic

_WITHOUT_HISTORY = frozenset(
    {
        CLASSES["postgresql"],
        "io.debezium.connector.mongodb.MongoDbConnector",
        "io.debezium.connector.vitess.VitessConnector",
        "io.debezium.connector.spanner.SpannerConnector",
    }
)


def has_schema_history(config: CdcConfig) -> bool:
    """Whether the connector keeps the history of the database's schema, which it needs to read old changes."""
    return class_of(config) not in _WITHOUT_HISTORY


def feed_topics(config: CdcConfig, prefix: str) -> Sequence[FeedTopic]:
    """Topics that are known before the database is asked; the others come with their first record.

    The first decides who owns the feed, so there is always one.
    """
    tables = Tables(config.tables, config.exclude)
    names = [] if config.outbox is not None else [topic_of(prefix, one) for one in tables.exact]
    if config.messages or tables.has_patterns or not names:
        names.append(message_topic(prefix))
    return tuple(new_topic(config, name) for name in names)


def new_topic(config: CdcConfig, name: str) -> FeedTopic:
    """A topic for changes as the config wants them."""
    return FeedTopic(
        name=name, partitions=config.partitions, config={"cleanup.policy": config.cleanup}
    )


def topic_settings(config: CdcConfig) -> dict[str, str]:
    """How Kafka Connect makes the topics that are not there."""
    return {
        "topic.creation.default.partitions": str(config.partitions or -1),
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.cleanup.policy": config.cleanup,
    }
