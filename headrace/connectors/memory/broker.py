"""The broker in memory."""

from collections.abc import Mapping
from types import MappingProxyType

from headrace.connectors.memory.admin import MemoryAdmin
from headrace.connectors.memory.cluster import Cluster
from headrace.connectors.memory.consumer import MemoryConsumer
from headrace.connectors.memory.faults import Faults
from headrace.connectors.memory.producer import MemoryProducer, RefusedError
from headrace.connectors.memory.reader import MemoryReader
from headrace.runtime.clock import Clock, ManualClock
from headrace.runtime.contracts.broker import ConsumerSettings, ProducerSettings, Reaction


class MemoryBroker:
    """A cluster that lives as long as this object; see `contracts.broker.Broker`. Thread-safe.

    Everything a flow reads and writes is shared by those who share the object. `brokers` names it
    in messages; `client` is taken for the sake of a common constructor and ignored. With a manual
    clock (the default) nothing ever waits: `consume` returns at once when nothing is there.

    Attributes:
        clock: stamps records, ends sessions and transactions.
        faults: what goes wrong next.
    """

    def __init__(
        self,
        brokers: str = "memory",
        client: Mapping[str, str] = MappingProxyType({}),  # noqa: ARG002 # see the docstring
        *,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or ManualClock()
        self._cluster = Cluster(brokers or "memory", self.clock)
        self.faults = Faults(self._cluster)

    def admin(self) -> MemoryAdmin:
        return MemoryAdmin(self._cluster)

    def consumer(self, settings: ConsumerSettings) -> MemoryConsumer:
        return MemoryConsumer(self._cluster, settings)

    def producer(self, settings: ProducerSettings) -> MemoryProducer:
        return MemoryProducer(self._cluster, settings)

    def reader(
        self,
        client_id: str,
        client: Mapping[str, str] = MappingProxyType({}),  # noqa: ARG002 # see the class
    ) -> MemoryReader:
        return MemoryReader(self._cluster, client_id)

    def reaction(self, error: object) -> Reaction | None:
        return error.reaction if isinstance(error, RefusedError) else None

    def is_too_large(self, error: object) -> bool:
        return isinstance(error, RefusedError) and error.is_too_large

    def stop(self) -> None:
        """Answer nobody until `start`: what waits for an answer raises BrokerUnavailableError.

        As with Kafka, `produce` still takes records and `consume` just returns none.
        """
        with self._cluster.changed:
            self._cluster.is_running = False

    def start(self) -> None:
        """Answer again; records, groups and transactions are as they were."""
        with self._cluster.changed:
            self._cluster.is_running = True
            self._cluster.changed.notify_all()
