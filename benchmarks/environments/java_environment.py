"""The class path of the contenders in Java: jars from Maven Central, and our compiled classes."""

import subprocess
import sys
from pathlib import Path

from benchmarks.environments.cache import made_once

POM = Path(__file__).parent / "kafka-streams.xml"
SOURCES = sorted((Path(__file__).parents[1] / "contenders").glob("*.java"))


def class_path() -> str:
    """What `java -cp` takes.

    Raises:
        CalledProcessError: `mvn` or `javac` has failed and said why.
        FileNotFoundError: this machine has no `mvn` or no `javac`.
    """
    libraries = made_once("kafka-streams-libraries", [POM], _fetch)

    def compile_to(path: Path) -> None:
        build = ["javac", "-cp", f"{libraries}/libs/*", "-d", str(path), *map(str, SOURCES)]
        subprocess.run(build, check=True, stdout=sys.stderr)

    return f"{libraries}/libs/*:{made_once('kafka-streams-classes', SOURCES, compile_to)}"


def _fetch(path: Path) -> None:
    fetch = [
        "mvn",
        "-q",
        "-B",
        "-Dstyle.color=never",
        "-f",
        str(POM),
        "dependency:copy-dependencies",
    ]
    fetch += [f"-DoutputDirectory={path}/libs", "-DincludeScope=runtime"]
    subprocess.run(fetch, check=True, stdout=sys.stderr)
