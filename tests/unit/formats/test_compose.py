"""The registry of `compose/schema.yaml` fits the broker that it is started beside."""

from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).parents[3] / "compose"


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COMPOSE / name).read_text("utf-8"))
    return loaded


def test_the_registry_joins_the_project_and_the_internal_listener_of_its_broker() -> None:
    broker, registry = document("one.yaml"), document("schema.yaml")
    listeners = broker["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    environment = registry["services"]["registry"]["environment"]

    assert registry["name"] == broker["name"]
    assert f"INTERNAL://{environment['KARAPACE_BOOTSTRAP_URI']}" in listeners.split(",")
    assert list(registry["services"]["registry"]["depends_on"]) == list(broker["services"])
    assert environment["KARAPACE_REPLICATION_FACTOR"] == len(broker["services"])


def test_its_port_is_bound_to_loopback_and_is_the_one_that_the_readme_tells() -> None:
    registry = document("schema.yaml")["services"]["registry"]
    (bound,) = registry["ports"]

    assert bound == f"127.0.0.1:8081:{registry['environment']['KARAPACE_PORT']}"
    assert "`http://127.0.0.1:8081`" in (COMPOSE / "README.md").read_text("utf-8")
