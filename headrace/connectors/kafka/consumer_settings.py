"""How a consumer is set up: its client's settings, the group's protocol, and how topics are named to the client."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.connectors.kafka.client_settings import client_settings
from headrace.runtime.contracts.broker import ConsumerSettings

GroupProtocol = Literal["classic", "consumer"]


class ProtocolChoice:
    """Which group protocol the brokers speak, learnt once per `KafkaBroker`.

    There is no cheaper way to know than to try: a broker may know the requests of KIP-848 and
    have them switched off.
    """

    def __init__(self) -> None:
        self.is_classic_only = False

    def first(self, wanted: Literal["auto", "classic", "consumer"]) -> GroupProtocol:
        if wanted == "auto":
            return "classic" if self.is_classic_only else "consumer"
        return wanted


# A seek or a resume is not served before the fetch under way is answered, which on a quiet topic takes
# `fetch.wait.max.ms`; so long it also takes to find out that a partition ends. The fetcher sleeps `fetch.queue.backoff.ms`
# whenever its queue is full; at the client's default of a second that halves the throughput. The queue's bound,
# `queued.max.messages.kbytes`, is 64 MiB.
_FETCHING: Mapping[str, Any] = {
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 400_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.message.max.bytes": 4 << 20,
    "fetch.wait.max.ms": 100,
    "topic.metadata.refresh.interval.ms": 30_000,
}
# Committed records only, no positions but the engine's own, and every end of a partition told.
_READING: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
}
_END_WAIT_MS = 20  # a restore ends when it has found the end


def consumer_configuration(
    brokers: str,
    client: Mapping[str, str],
    settings: ConsumerSettings,
    protocol: GroupProtocol,
) -> dict[str, Any]:
    """The client's configuration, without its callbacks."""
    configuration: dict[str, Any] = {**_FETCHING, **client_settings(client, "consumer"), **_READING}
    configuration |= {
        "bootstrap.servers": brokers,
        "client.id": settings.client_id,
        "group.id": settings.group,
        "group.protocol": protocol,
        "max.poll.interval.ms": settings.max_poll_interval_ms,
    }
    if settings.instance_id is not None:
        configuration["group.instance.id"] = settings.instance_id
    if protocol == "classic":
        configuration |= {
            "partition.assignment.strategy": "range"
            if is_eager(settings, protocol)
            else "cooperative-sticky",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(settings.session_timeout_ms // 10, 1),
        }
    elif settings.assignor == "range":
        configuration["group.remote.assignor"] = "range"
    return configuration


def is_eager(settings: ConsumerSettings, protocol: GroupProtocol) -> bool:
    """Whether a rebalance takes all partitions before it gives any: the classic protocol has no other `range`."""
    return protocol == "classic" and settings.assignor == "range"


def reader_configuration(brokers: str, client: Mapping[str, str], client_id: str) -> dict[str, Any]:
    """The configuration of a client that is assigned what it reads; the group is only a name."""
    configuration: dict[str, Any] = {**_FETCHING, "fetch.wait.max.ms": _END_WAIT_MS}
    configuration |= client_settings(client, "consumer")
    return configuration | {
        **_READING,
        "bootstrap.servers": brokers,
        "client.id": client_id,
        "group.id": client_id,
    }


def whole_names(topic: str) -> str:
    """A pattern that stands for whole names with either group protocol."""
    return f"^({topic[1:]})$" if topic.startswith("^") else topic
