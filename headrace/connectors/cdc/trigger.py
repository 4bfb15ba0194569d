"""`cdc`: starts a run for every change of a database's tables."""

import copy
from collections.abc import Iterable

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.debezium.properties import engine_problems
from headrace.connectors.cdc.engines import feed_of
from headrace.connectors.cdc.tables import (
    Tables,
    message_topic,
    topic_glob,
    topic_of,
    topic_pattern,
)
from headrace.runtime.contracts.action import Source, TriggerAction
from headrace.runtime.contracts.feed import Feed

ADDRESS = ("host", "port", "user", "password", "dbname")


class CdcTrigger(TriggerAction):
    """Reads the rows of a database's tables, then every change of them, in the order of their commits.

    An event is Debezium's envelope: `op` (r, c, u, d, t, m), `before`, `after`, `source`, `ts_ms`.
    """

    Config = CdcConfig
    config: CdcConfig

    def __init__(self, config: CdcConfig) -> None:
        super().__init__(config)
        self.prefix = config.topic_prefix or "cdc"

    def problems(self) -> Iterable[str]:
        config = self.config
        if not config.tables:
            yield "needs 'tables', such as [public.orders] or ['public.*']"
        if config.kind is None and config.connector_class is None:
            yield "needs 'database': postgresql, mysql or mariadb (or a 'url' that begins with it)"
        if config.url is not None:
            for name in ADDRESS:
                if getattr(config, name) is not None:
                    yield f"has both 'url' and '{name}'; leave one of them out"
        elif config.host is None and config.connector_class is None:
            yield "needs 'url', or 'host', 'user', 'password' and 'dbname'"
        if config.engine == "connect" and config.connect is None:
            yield "engine connect needs 'connect' with the url of Kafka Connect"
        if config.kind in ("mysql", "mariadb"):
            for name in config.tables:
                if "." not in name:
                    yield (
                        f"tables: '{name}' needs its database, as in 'shop.{name}' or at the end of 'url'"
                    )
        for where, columns in config.columns.items():
            if columns.include and columns.exclude:
                yield f"columns: '{where}' has both 'include' and 'exclude'"
        yield from engine_problems(config)
        for part in config.parts():
            for name in sorted(part.reads - {"env", "secret"}):
                yield f"mentions '{name}', but a connection has only env and secret"

    def summary(self) -> str:
        kind = self.config.kind or self.config.connector_class or "database"
        return f"{kind} {', '.join(self.config.tables)}"

    def placed(self, flow: str, stage: str) -> "CdcTrigger":
        placed = copy.copy(self)
        placed.prefix = self.config.topic_prefix or f"{flow}.{stage}"
        return placed

    @property
    def tables(self) -> Tables:
        return Tables(self.config.tables, self.config.exclude)

    def source(self) -> Source:
        topics, pattern = self.topics()
        return Source(
            topics=topics,
            pattern=pattern,
            value_format="json" if self.config.outbox is not None else "debezium",
            tombstones="skip",
            start="earliest",
        )

    def topics(self) -> tuple[tuple[str, ...], str | None]:
        """The topics that the changes are in, or a pattern where the config has one."""
        outbox, tables = self.config.outbox, self.tables
        if outbox is not None:
            glob = topic_glob(outbox.topic.replace("{type}", "*"))
            return (), f"({glob}|{topic_glob(message_topic(self.prefix))})"
        if tables.has_patterns:
            return (), topic_pattern(self.prefix, tables)
        found = [topic_of(self.prefix, name) for name in tables.exact]
        return (*found, *([message_topic(self.prefix)] if self.config.messages else ())), None

    def feed(self) -> Feed:
        return feed_of(self.config, self.prefix)
