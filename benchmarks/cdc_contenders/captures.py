"""The contenders: headrace's own engine in a process, and Debezium's connector in a Kafka Connect that is running."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from headrace.connectors.cdc.connect.rest import ConnectClient
from headrace.connectors.kafka import KafkaBroker
from tests.cdc.connect_server import ConnectServer
from tests.cdc.postgres_server import PASSWORD, PostgresServer
from tests.cdc.running import feed_of, make_topics

_JSON = "org.apache.kafka.connect.json.JsonConverter"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one run captures: the table `orders` of the database `postgres`, into topics that begin with `prefix`."""

    postgres: PostgresServer
    brokers: str
    prefix: str
    partitions: int
    more: Mapping[str, Any] = field(default_factory=dict)
    """More of headrace's config."""

    @property
    def topic(self) -> str:
        return f"{self.prefix}.public.orders"

    @property
    def slot(self) -> str:
        return self.prefix.replace("-", "_")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": self.postgres.url("postgres"),
            "tables": ["orders"],
            "topic_prefix": self.prefix,
            "partitions": self.partitions,
            **self.more,
        }

    def make_topics(self) -> None:
        """The same topics for every contender."""
        make_topics(feed_of(self.config), KafkaBroker(self.brokers))


class Headrace:
    """The native engine. Its clock begins when Python has loaded it."""

    name = "headrace"

    @contextmanager
    def capturing(self, work: Work) -> Iterator[int]:
        """Capture until it is left; yields the id of the process."""
        words = [work.brokers, work.prefix, json.dumps(work.config)]
        command = [sys.executable, "-m", "tests.cdc.victim", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                process.stdout.readline()
                yield process.pid
            finally:
                process.kill()


class Debezium:
    """The connector with exactly-once support and JSON without schemas.

    Connect runs before the clock does, and between rounds.
    """

    name = "debezium"

    def __init__(self, server: ConnectServer) -> None:
        self._server = server
        self._client = ConnectClient(server.url)

    @contextmanager
    def capturing(self, work: Work) -> Iterator[int]:
        """Capture until it is left; yields the id of Connect's process."""
        self._client.ask("PUT", "connectors", work.prefix, "config", body=self._properties(work))
        try:
            yield self._server.pid
        finally:
            self._client.ask("DELETE", "connectors", work.prefix)

    def _properties(self, work: Work) -> dict[str, str]:
        return {
            "name": work.prefix,
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "exactly.once.support": "required",
            "transaction.boundary": "poll",
            "topic.prefix": work.prefix,
            "database.hostname": "127.0.0.1",
            "database.port": str(work.postgres.port),
            "database.user": "admin",
            "database.password": PASSWORD,
            "database.dbname": "postgres",
            "table.include.list": r"public\.orders",
            "plugin.name": "pgoutput",
            "slot.name": work.slot,
            "publication.name": work.slot,
            "publication.autocreate.mode": "filtered",
            "poll.interval.ms": "10",
            "decimal.handling.mode": "string",
            "key.converter": _JSON,
            "key.converter.schemas.enable": "false",
            "value.converter": _JSON,
            "value.converter.schemas.enable": "false",
        }
