"""The broker in memory: Kafka's behaviour without Kafka, for tests and dry runs."""

from headrace.connectors.memory.broker import MemoryBroker
from headrace.connectors.memory.faults import Faults

__all__ = ["Faults", "MemoryBroker"]
