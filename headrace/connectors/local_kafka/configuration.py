"""The `server.properties` of a local broker: one node that is broker and controller, on loopback."""

from collections.abc import Mapping
from pathlib import Path

from headrace.runtime.errors import SettingsError

NODE_ID = 1

DEFAULTS: Mapping[str, str] = {
    # A misspelt topic is an error here as it is on most production clusters.
    "auto.create.topics.enable": "false",
    # One node can hold one copy; few partitions make the internal topics quick to create.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # The first member of a group need not wait three seconds for others.
    "group.initial.rebalance.delay.ms": "0",
    # After a kill the controller refuses the node until its earlier session is over: nine seconds by default
    # (test_a_killed_broker_comes_back_on_the_same_port_with_its_records).
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    # An eighth of Kafka's default is plenty for one machine, and spares memory.
    "log.cleaner.dedupe.buffer.size": "16777216",
}

OWNED = frozenset(
    {
        "advertised.listeners",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
        "process.roles",
    }
)


def check_properties(properties: Mapping[str, str]) -> None:
    """Refuse what the launcher decides by itself.

    Raises:
        SettingsError: naming each property that is refused.
    """
    owned = sorted(OWNED & set(properties))
    if owned:
        raise SettingsError(
            f"the local broker decides {', '.join(owned)} by itself; choose the port and the data folder in its settings"
        )


def server_properties(
    *,
    port: int,
    controller_port: int,
    listen_host: str,
    logs: Path,
    properties: Mapping[str, str],
) -> str:
    """The text of `server.properties`; `properties` win over `DEFAULTS`.

    Clients and the controller are always told 127.0.0.1; `listen_host` differs only inside of a container, whose ports
    are bound to loopback from outside.

    Raises:
        SettingsError: Kafka would read the path of the data folder as several.
    """
    if "," in str(logs):
        raise SettingsError(
            f"the data folder {logs} has a comma in its path, which Kafka reads as two folders; choose another one"
        )
    decided = {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{listen_host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(logs),
    }
    lines = [
        f"{_escaped(name)}={_escaped(value)}"
        for name, value in {**DEFAULTS, **properties, **decided}.items()
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """As Java reads properties files: Latin-1, with backslash escapes, in UTF-16 units for what is beyond."""
    units = text.encode("utf-16-be")
    codes = (units[i] << 8 | units[i + 1] for i in range(0, len(units), 2))
    return "".join(
        "\\" + chr(code)
        if chr(code) in "\\=:#! "
        else chr(code)
        if 32 < code < 127
        else f"\\u{code:04x}"
        for code in codes
    )
