"""The local Kafka under the name by which the command line, demonstrations and tests know it."""

from pathlib import Path
from typing import Self

from headrace.connectors.local_kafka.background import Background
from headrace.connectors.local_kafka.places import environment_or_own
from headrace.connectors.local_kafka.server import KafkaServer
from headrace.connectors.local_kafka.settings import LocalKafkaSettings
from headrace.runtime.contracts.local_broker import BackgroundBroker, Progress


class LocalKafka(KafkaServer):
    """Apache Kafka on this machine; the class itself is a `contracts.local_broker.LocalBrokerLauncher`.

    ::

        with LocalKafka() as kafka:
            connect(kafka.brokers)
    """

    @classmethod
    def in_foreground(
        cls, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> Self:
        settings = LocalKafkaSettings(port=port, data=data, ephemeral=ephemeral)
        return cls(settings, progress=progress)

    @classmethod
    def start_in_background(
        cls, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> BackgroundBroker:
        settings = LocalKafkaSettings(port=port, data=data, ephemeral=ephemeral)
        return _background().start(settings, progress)

    @classmethod
    def in_background(cls) -> BackgroundBroker | None:
        return _background().find()

    @classmethod
    def stop_background(cls) -> BackgroundBroker | None:
        return _background().stop()

    @classmethod
    def reset(cls, data: Path | None) -> Path | None:
        return _background().reset(data)

    @classmethod
    def data_folder(cls, data: Path | None) -> Path:
        return _background().data_folder(data)


def _background() -> Background:
    return Background(environment_or_own(None))
