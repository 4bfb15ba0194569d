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


def consumer_configuration(
    brokers: str,
    client: Mapping[str, str],
    settings: ConsumerSettings,
    protocol: GroupProtocol,
) -> dict[str, Any]:
    """The client's configuration, without its callbacks.

    A seek or a resume is not served before the fetch under way is answered, which on a quiet topic
    takes `fetch.wait.max.ms`. The fetcher sleeps `fetch.queue.backoff.ms` whenever its queue is full; at the client's default
    of a second that halves the throughput. The queue's bound, `queued.max.messages.kbytes`, is
    64 MiB.
    """
    configuration: dict[str, Any] = {
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 400_000,
        "queued.max.messages.kbytes": 65_536,
        "fetch.message.max.bytes": 4 << 20,
        "fetch.wait.max.ms": 100,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    configuration |= client_settings(client, "consumer")
    configuration |= {
        "bootstrap.servers": brokers,
        "client.id": settings.client_id,
        "group.id": settings.group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "max.poll.interval.ms": settings.max_poll_interval_ms,
    }
    if settings.instance_id is not None:
        configuration["group.instance.id"] = settings.instance_id
    if protocol == "classic":
        configuration |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(settings.session_timeout_ms // 10, 1),
        }
    return configuration


def whole_names(topic: str) -> str:
    """A pattern that stands for whole names with either group protocol."""
    return f"^({topic[1:]})$" if topic.startswith("^") else topic
