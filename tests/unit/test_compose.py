"""The Compose files: what a typing mistake in them would break, as no Docker engine is needed to see it."""

import base64
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.connectors.local_kafka.jars import KAFKA_VERSION

COMPOSE = Path(__file__).parents[2] / "compose"
FILES = {"one.yaml": 1, "cluster.yaml": 3}
SERVICE_KEYS = {"image", "ports", "environment", "volumes", "healthcheck", "stop_grace_period"}
CONTROLLER, HOST, INTERNAL = "CONTROLLER", "HOST", "INTERNAL"


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COMPOSE / name).read_text("utf-8"))
    return loaded


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = document(name)["services"]
    return found


def addresses(text: str) -> dict[str, tuple[str, int]]:
    """`HOST://127.0.0.1:9092,...` by the name of the listener."""
    found = {}
    for part in text.split(","):
        match = re.fullmatch(r"([A-Z]+)://([\w.-]*):(\d+)", part)
        assert match is not None, part
        found[match[1]] = (match[2], int(match[3]))
    return found


@pytest.mark.parametrize("name", FILES)
def test_only_known_keys_of_the_compose_specification_are_used(name: str) -> None:
    top = {key for key in document(name) if not key.startswith("x-")}

    assert top == {"name", "services", "volumes"}
    for service in services(name).values():
        assert set(service) == SERVICE_KEYS
        assert set(service["healthcheck"]) == {
            "test",
            "interval",
            "timeout",
            "retries",
            "start_period",
        }
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize(("name", "brokers"), FILES.items())
def test_each_broker_runs_the_kafka_that_headrace_is_tested_with(name: str, brokers: int) -> None:
    images = [service["image"] for service in services(name).values()]

    assert images == [f"apache/kafka:{KAFKA_VERSION}"] * brokers


@pytest.mark.parametrize("name", FILES)
def test_every_port_is_bound_to_loopback_and_is_the_advertised_one(name: str) -> None:
    for service in services(name).values():
        environment = service["environment"]
        listeners = addresses(environment["KAFKA_LISTENERS"])
        advertised = addresses(environment["KAFKA_ADVERTISED_LISTENERS"])
        (bound,) = service["ports"]
        address, outside, inside = bound.split(":")

        assert address == "127.0.0.1"
        assert listeners[HOST] == ("", int(inside))
        assert advertised[HOST] == ("127.0.0.1", int(outside))


@pytest.mark.parametrize("name", FILES)
def test_brokers_and_containers_reach_a_broker_by_the_name_of_its_service(name: str) -> None:
    for service_name, service in services(name).items():
        environment = service["environment"]
        listeners = addresses(environment["KAFKA_LISTENERS"])
        advertised = addresses(environment["KAFKA_ADVERTISED_LISTENERS"])
        protocols = dict(
            part.split(":")
            for part in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
        )

        assert advertised[INTERNAL] == (service_name, listeners[INTERNAL][1])
        assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] == INTERNAL
        assert environment["KAFKA_CONTROLLER_LISTENER_NAMES"] == CONTROLLER
        assert CONTROLLER not in advertised
        assert protocols == dict.fromkeys(listeners, "PLAINTEXT")


@pytest.mark.parametrize("name", FILES)
def test_the_quorum_voters_are_the_brokers_at_their_controller_ports(name: str) -> None:
    voters = sorted(
        f"{service['environment']['KAFKA_NODE_ID']}@{service_name}:"
        f"{addresses(service['environment']['KAFKA_LISTENERS'])[CONTROLLER][1]}"
        for service_name, service in services(name).items()
    )

    for service in services(name).values():
        environment = service["environment"]
        assert sorted(environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")) == voters
        assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"


@pytest.mark.parametrize("name", FILES)
def test_brokers_share_a_cluster_id_and_nothing_that_must_be_their_own(name: str) -> None:
    found = list(services(name).values())
    cluster_ids = {service["environment"]["CLUSTER_ID"] for service in found}
    nodes = [service["environment"]["KAFKA_NODE_ID"] for service in found]
    volumes = [volume.split(":") for service in found for volume in service["volumes"]]
    ports = [port for service in found for port in service["ports"]]

    (cluster_id,) = cluster_ids
    assert len(base64.urlsafe_b64decode(cluster_id + "==")) == 16
    assert len(set(nodes)) == len(set(ports)) == len(found)
    assert [name for name, _ in volumes] == list(document(name)["volumes"])
    assert all(
        path == service["environment"]["KAFKA_LOG_DIRS"]
        for (_, path), service in zip(volumes, found, strict=True)
    )


@pytest.mark.parametrize(("name", "brokers"), FILES.items())
def test_topics_have_as_many_copies_as_there_are_brokers(name: str, brokers: int) -> None:
    for service in services(name).values():
        environment = service["environment"]
        copies = [value for key, value in environment.items() if key.endswith("REPLICATION_FACTOR")]
        in_sync = [
            value
            for key, value in environment.items()
            if key.endswith(("MIN_ISR", "INSYNC_REPLICAS"))
        ]

        assert set(copies) == {brokers}
        assert set(in_sync) == {max(1, brokers - 1)}


def test_brokers_of_the_cluster_differ_only_in_what_is_their_own() -> None:
    own = {"KAFKA_NODE_ID", "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"}
    shared = [
        {key: value for key, value in service["environment"].items() if key not in own}
        for service in services("cluster.yaml").values()
    ]

    assert all(one == other for one, other in pairwise(shared))


def test_the_readme_names_the_ports_of_both_files() -> None:
    text = (COMPOSE / "README.md").read_text("utf-8")

    for name in FILES:
        brokers = ",".join(
            port.rpartition(":")[0]
            for service in services(name).values()
            for port in service["ports"]
        )
        assert f"`{brokers}`" in text


@pytest.mark.parametrize("name", ["cdc.yaml", "schema.yaml"])
def test_what_stands_beside_the_broker_is_reached_from_this_machine_only(name: str) -> None:
    assert document(name)["name"] == document("one.yaml")["name"]
    for service in services(name).values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["healthcheck"]["test"][0] == "CMD"


def test_the_databases_are_set_up_for_capturing_changes() -> None:
    databases = services("cdc.yaml")

    assert "wal_level=logical" in databases["postgres"]["command"]
    assert {"--binlog-format=ROW", "--binlog-row-metadata=FULL", "--binlog-row-image=FULL"} <= {
        *databases["mariadb"]["command"]
    }
