"""Apache Kafka through confluent-kafka; no other package imports the client."""

from headrace.connectors.kafka.broker import KafkaBroker

__all__ = ["KafkaBroker"]
