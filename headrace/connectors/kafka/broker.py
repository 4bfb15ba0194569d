"""Apache Kafka as the broker: consumers, producers and administration over confluent-kafka."""

from collections.abc import Mapping
from types import MappingProxyType

from headrace.connectors.kafka.admin import KafkaAdmin
from headrace.connectors.kafka.client_settings import check_client_settings
from headrace.connectors.kafka.consumer import KafkaConsumer
from headrace.connectors.kafka.consumer_settings import ProtocolChoice
from headrace.connectors.kafka.errors import is_too_large, reaction
from headrace.connectors.kafka.producer import KafkaProducer
from headrace.connectors.kafka.reader import KafkaReader
from headrace.runtime.contracts.broker import ConsumerSettings, ProducerSettings, Reaction
from headrace.runtime.errors import SettingsError


class KafkaBroker:
    """A Kafka cluster; see `contracts.broker.Broker`.

    `brokers` is a comma-separated list of `host:port`. `client` goes to every client (TLS, SASL,
    sizes); a key that begins with `consumer.` or `producer.` goes to that kind only.

    Raises:
        SettingsError: `client` holds a setting that the engine decides.
    """

    def __init__(self, brokers: str, client: Mapping[str, str] = MappingProxyType({})) -> None:
        if not brokers.strip():
            raise SettingsError("brokers is empty; it names them as host:port, host:port")
        check_client_settings(client)
        self._brokers = brokers
        self._client = dict(client)
        self._protocol_choice = ProtocolChoice()

    def admin(self) -> KafkaAdmin:
        return KafkaAdmin(self._brokers, self._client)

    def consumer(self, settings: ConsumerSettings) -> KafkaConsumer:
        check_client_settings(settings.client)
        return KafkaConsumer(self._brokers, self._client, settings, self._protocol_choice)

    def producer(self, settings: ProducerSettings) -> KafkaProducer:
        check_client_settings(settings.client)
        return KafkaProducer(self._brokers, self._client, settings)

    def reader(
        self, client_id: str, client: Mapping[str, str] = MappingProxyType({})
    ) -> KafkaReader:
        check_client_settings(client)
        return KafkaReader(self._brokers, {**self._client, **client}, client_id)

    def reaction(self, error: object) -> Reaction | None:
        return reaction(error)

    def is_too_large(self, error: object) -> bool:
        return is_too_large(error)
