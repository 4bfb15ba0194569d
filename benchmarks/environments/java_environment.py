"""The class path of the contender in Java: jars from Maven Central, and our compiled class."""

import subprocess
import sys
from pathlib import Path

from benchmarks.environments.cache import made_once

POM = Path(__file__).parent / "kafka-streams.xml"
SOURCE = Path(__file__).parents[1] / "contenders" / "StreamsContender.java"


def class_path() -> str:
    """What `java -cp` takes.

    Raises:
        CalledProcessError: `mvn` or `javac` has failed and said why.
        FileNotFoundError: this machine has no `mvn` or no `javac`.
    """
    path = made_once("kafka-streams", [POM, SOURCE], _make)
    return f"{path}/libs/*:{path}/classes"


def _make(path: Path) -> None:
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
    build = ["javac", "-cp", f"{path}/libs/*", "-d", f"{path}/classes", str(SOURCE)]
    subprocess.run(build, check=True, stdout=sys.stderr)
