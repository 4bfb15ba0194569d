"""What a Kafka client says of itself, as Python logging: one line per outage, not per retry."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

import logging
from threading import Lock

from confluent_kafka import KafkaError

# Lines about single connections repeat with every retry; what is fatal is raised anyway.
_CONNECTION_LINES = frozenset(
    {"CONNECT", "DISCONN", "ERROR", "FAIL", "FATAL", "PARTCNT", "REQTMOUT"}
)
_OUTAGE_CODES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._SSL,
        KafkaError._AUTHENTICATION,
    }
)
# They say more than that all brokers are down, which follows from them.
_REFUSALS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})


class KafkaLog:
    """The voice of one client: its `logger` and its `error_cb`.

    The client calls both from inside `consume`, `poll` and `flush`, where an exception would throw
    away records that were fetched; so nothing here raises.
    """

    def __init__(self, name: str, brokers: str) -> None:
        self._logger = logging.getLogger("headrace.kafka")
        self._name = name
        self._brokers = brokers
        self._lock = Lock()
        self.is_down = False
        self.last_error: KafkaError | None = None
        self.fatal: KafkaError | None = None

    def log(self, level: int, _format: str, facility: str, _client: str, line: str) -> None:
        """The client's `logger` protocol; lines about one connection and about retries are for debugging only."""
        if facility in _CONNECTION_LINES or line.endswith("retrying"):
            level = logging.DEBUG
        self._logger.log(level, "%s: %s", self._name, line)

    def on_error(self, error: KafkaError) -> None:
        """The client's `error_cb`."""
        if error.fatal():
            self.fatal = error
            return
        known = self.last_error
        if known is None or known.code() not in _REFUSALS or error.code() in _REFUSALS:
            self.last_error = error
        if error.code() in _OUTAGE_CODES:
            self.outage(error)
        else:
            self._logger.warning("%s: %s", self._name, error.str())

    def outage(self, error: KafkaError) -> None:
        """Say once that all brokers are gone or refuse this client."""
        if error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
            self._logger.debug("%s: %s", self._name, error.str())
            return
        with self._lock:
            if self.is_down:
                return
            self.is_down = True
        self._logger.warning(
            "%s: no broker at %s answers (%s); trying again until one does",
            self._name,
            self._brokers,
            error.str(),
        )

    def answered(self) -> None:
        """A broker answered: an outage, if there was one, is over."""
        with self._lock:
            if not self.is_down:
                return
            self.is_down = False
            self.last_error = None
        self._logger.info("%s: the brokers at %s answer again", self._name, self._brokers)

    def is_outage(self, error: KafkaError) -> bool:
        """Whether an error only says that brokers cannot be reached for now."""
        return error.code() in _OUTAGE_CODES
