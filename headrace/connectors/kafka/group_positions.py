"""The committed positions of any group, asked for without joining it.

The client's own administration call for this crashes the process when a coordinator moves: it hands the error to a
consumer that an administration client does not have (librdkafka up to 2.16, seen as a segmentation fault when a broker came
back). A consumer that never subscribes asks the same question safely, and waits for positions that are being committed.
"""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headrace.connectors.kafka.client_log import KafkaLog
from headrace.connectors.kafka.client_settings import client_settings
from headrace.connectors.kafka.errors import ANSWER_TIMEOUT_S
from headrace.runtime.contracts.broker import TopicPartition

_GROUPS_MAX = 50
_PARTITIONS_PER_REQUEST = 2_000


class GroupPositions:
    """Keeps a client per group that was asked for, at most fifty; the one asked for longest ago is closed first."""

    def __init__(self, brokers: str, client: Mapping[str, str], log: KafkaLog) -> None:
        self._brokers = brokers
        self._user_settings = client
        self._log = log
        self._clients: dict[str, Consumer] = {}

    def of(self, group: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The group's positions in these partitions; those that it has none in are left out.

        Raises:
            KafkaException: the brokers did not answer, or refused.
        """
        client = self._clients.pop(group, None) or self._open(group)
        self._clients[group] = client
        while len(self._clients) > _GROUPS_MAX:
            self._clients.pop(next(iter(self._clients))).close()
        found: dict[TopicPartition, int] = {}
        for begin in range(0, len(partitions), _PARTITIONS_PER_REQUEST):
            asked = [
                ClientPartition(*one) for one in partitions[begin : begin + _PARTITIONS_PER_REQUEST]
            ]
            for one in client.committed(asked, timeout=ANSWER_TIMEOUT_S):
                if one.error is not None:
                    raise KafkaException(one.error)
                if one.offset >= 0:
                    found[TopicPartition(one.topic, one.partition)] = one.offset
        return found

    def _open(self, group: str) -> Consumer:
        configuration = client_settings(self._user_settings, "consumer") | {
            "bootstrap.servers": self._brokers,
            "client.id": "headrace-admin",
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        return Consumer(configuration | {"logger": self._log, "error_cb": self._log.on_error})

    def close(self) -> None:
        """Close every client. May be called again."""
        while self._clients:
            self._clients.popitem()[1].close()
