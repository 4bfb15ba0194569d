"""Apache Kafka on this machine, for development, demonstrations, benchmarks and tests."""

from headrace.connectors.local_kafka.errors import (
    LocalKafkaStartError,
    LocalKafkaUnavailableError,
)
from headrace.connectors.local_kafka.launcher import LocalKafka
from headrace.connectors.local_kafka.settings import LocalKafkaSettings

__all__ = [
    "LocalKafka",
    "LocalKafkaSettings",
    "LocalKafkaStartError",
    "LocalKafkaUnavailableError",
]
