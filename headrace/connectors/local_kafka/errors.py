"""Why there is no local broker; both ask for a change of the machine or the settings."""

from headrace.runtime.errors import SettingsError


class LocalKafkaUnavailableError(SettingsError):
    """This machine lacks what a local Kafka needs; the message names what was looked for and the remedies."""


class LocalKafkaStartError(SettingsError):
    """Kafka was started and ended, or never answered; nothing of it runs any more.

    The message says why, as far as Kafka's log tells, and ends with the log's last lines.
    """


class PortTakenError(LocalKafkaStartError):
    """Another program listens on the port."""


class DataInUseError(LocalKafkaStartError):
    """Another broker works on the data folder."""
