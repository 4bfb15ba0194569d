"""The settings of a local broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.connectors.local_kafka.configuration import check_properties
from headrace.runtime.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class LocalKafkaSettings:
    """What a local broker is to be.

    Raises:
        SettingsError: a value is out of its bounds, or a property is one that the launcher decides.
    """

    data: Path | None = None
    """The folder that keeps topics over restarts; made when it is missing. None is a temporary folder, or the user's state
    folder when `ephemeral` is False."""
    port: int = 0
    """The port on the loopback interface; 0 takes a free one."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Broker properties by Kafka's names, over the launcher's defaults. Those that say where the broker listens and keeps
    its data are refused."""
    ephemeral: bool | None = None
    """Throw the data away at the end. None does so when no data folder is named; a named one is never thrown away."""
    memory_mb: int = 768
    """The largest Java heap, in MiB, at least 128. The process takes some 150 MiB more."""
    start_timeout_s: float = 60.0
    """How long Kafka may take until it answers. It needs about two seconds on a machine that is not busy."""
    stop_timeout_s: float = 20.0
    """How long Kafka may take to end before it is killed."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsError(
                f"port {self.port} is out of bounds: 1 to 65535, or 0 for a free one"
            )
        if self.memory_mb < 128:
            raise SettingsError(f"memory_mb is {self.memory_mb}; Kafka needs at least 128")
        if self.data is not None and self.ephemeral:
            raise SettingsError(
                f"an ephemeral broker keeps no data, so it cannot use the folder {self.data}; leave out one of the two"
            )
        check_properties(self.properties)

    @property
    def is_ephemeral(self) -> bool:
        return self.data is None if self.ephemeral is None else self.ephemeral
