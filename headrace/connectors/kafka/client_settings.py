"""Settings of the Kafka client that a user may pass through, and those that the engine owns."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from headrace.runtime.errors import SettingsError

Role = Literal["consumer", "producer", "admin"]

# Settings that decide the promises of the engine, each with what a user can do instead.
_ENGINE_OWNED: Mapping[str, str] = {
    "acks": "records are always acknowledged by all in-sync replicas",
    "auto.commit.interval.ms": "positions are committed with the results",
    "auto.offset.reset": "the trigger says where a flow begins",
    "bootstrap.servers": "set brokers",
    "delivery.report.only.error": "the engine collects the failed deliveries",
    "enable.auto.commit": "positions are committed with the results",
    "enable.auto.offset.store": "positions are committed with the results",
    "enable.idempotence": "it is always on",
    "enable.partition.eof": "it is always on, since the engine wants to know when it has caught up",
    "group.id": "it is made of the prefix and the flow's group",
    "group.instance.id": "it is made of the worker's instance id",
    "group.remote.assignor": "the flow's operators decide what has to stay together",
    "group.protocol": "set the group protocol of the worker",
    "group.protocol.type": "set the group protocol of the worker",
    "heartbeat.interval.ms": "it follows the session timeout",
    "isolation.level": "flows read committed records only",
    "max.poll.interval.ms": "set max_poll_interval of the worker",
    "message.max.bytes": "it follows the limits of the topics written to",
    "metadata.broker.list": "set brokers",
    "partition.assignment.strategy": "the flow's operators decide what has to stay together",
    "request.required.acks": "records are always acknowledged by all in-sync replicas",
    "session.timeout.ms": "set session_timeout of the worker",
    "transaction.timeout.ms": "set transaction_timeout of the worker",
    "transactional.id": "it is made of the flow's group and the worker",
}

# Settings of one kind of client only; any other name goes to every client.
_CONSUMER_ONLY = frozenset(
    {
        "check.crcs",
        "coordinator.query.interval.ms",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "max.partition.fetch.bytes",
        "queued.max.messages.kbytes",
        "queued.min.messages",
    }
)
_PRODUCER_ONLY = frozenset(
    {
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.timeout.ms",
        "linger.ms",
        "message.send.max.retries",
        "message.timeout.ms",
        "partitioner",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
    }
)
_EVERY_CLIENT = frozenset(
    {
        "api.version.request.timeout.ms",
        "broker.address.family",
        "broker.address.ttl",
        "client.dns.lookup",
        "client.rack",
        "connections.max.idle.ms",
        "debug",
        "enable.metrics.push",
        "enable.ssl.certificate.verification",
        "log.connection.close",
        "log_level",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.copy.max.bytes",
        "metadata.max.age.ms",
        "metadata.recovery.strategy",
        "receive.message.max.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "sasl.kerberos.keytab",
        "sasl.kerberos.kinit.cmd",
        "sasl.kerberos.principal",
        "sasl.kerberos.service.name",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.extensions",
        "sasl.oauthbearer.method",
        "sasl.oauthbearer.scope",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.max.fails",
        "socket.nagle.disable",
        "socket.receive.buffer.bytes",
        "socket.send.buffer.bytes",
        "socket.timeout.ms",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.cipher.suites",
        "ssl.crl.location",
        "ssl.curves.list",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.sigalgs.list",
        "topic.blacklist",
        "topic.metadata.propagation.max.ms",
        "topic.metadata.refresh.interval.ms",
        "topic.metadata.refresh.sparse",
    }
)
_SECRET_WORDS = ("password", "secret", "passphrase", "pem", "sasl.oauthbearer.config", "token")


def check_client_settings(client: Mapping[str, str]) -> None:
    """Refuse the settings that the engine owns, by name.

    Names that nobody knows are found when a client is made; see `explain_refusal`.
    """
    for name in client:
        _, plain = _split(name)
        if plain in _ENGINE_OWNED:
            raise SettingsError(
                f"client setting '{name}' belongs to headrace: {_ENGINE_OWNED[plain]}; remove it"
            )


def client_settings(client: Mapping[str, str], role: Role) -> dict[str, str]:
    """Those of the user's settings that one kind of client gets, without their prefixes.

    A prefix (`consumer.`, `producer.`) wins over the plain name.
    """
    check_client_settings(client)
    plain: dict[str, str] = {}
    directed: dict[str, str] = {}
    for full_name, value in client.items():
        target, name = _split(full_name)
        if target is None:
            if _goes_to(name, role):
                plain[name] = value
        elif target == role:
            directed[name] = value
    return plain | directed


def explain_refusal(reason: str, client: Mapping[str, str]) -> SettingsError:
    """The error for a configuration that the client refused with `reason`; shows no secret."""
    for full_name in client:
        _, name = _split(full_name)
        if f'"{name}"' in reason and "No such configuration" in reason:
            known = sorted(_EVERY_CLIENT | _CONSUMER_ONLY | _PRODUCER_ONLY)
            similar = get_close_matches(name, known, n=1)
            hint = f"; did you mean '{similar[0]}'?" if similar else ""
            return SettingsError(f"unknown client setting '{full_name}'{hint}")
    return SettingsError(f"the Kafka client refuses its settings: {redact(reason, client)}")


def redact(text: str, client: Mapping[str, str]) -> str:
    """`text` without the values of settings that are secret."""
    for name, value in client.items():
        if value and any(word in name for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text


def _split(name: str) -> tuple[Role | None, str]:
    if name.startswith("consumer."):
        return "consumer", name.removeprefix("consumer.")
    if name.startswith("producer."):
        return "producer", name.removeprefix("producer.")
    return None, name


def _goes_to(name: str, role: Role) -> bool:
    if name in _CONSUMER_ONLY:
        return role == "consumer"
    if name in _PRODUCER_ONLY:
        return role == "producer"
    return True
