import hashlib
import threading
from pathlib import Path

import pytest

from headrace.connectors.local_kafka import jars
from headrace.connectors.local_kafka.errors import LocalKafkaUnavailableError
from headrace.connectors.local_kafka.jars import (
    KAFKA_VERSION,
    POM,
    cached_jars,
    check_jars,
    maven_fetch,
    read_pins,
)

CONTENT = {"kafka.jar": b"kafka", "scala.jar": b"scala"}


@pytest.fixture(autouse=True)
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    path = tmp_path / "jars.sha256"
    path.write_text("".join(f"{checksum}  {name}\n" for name, checksum in found.items()))
    monkeypatch.setattr(jars.read_pins, "__defaults__", (path,))
    return found


class Fetch:
    """Copies jars as Maven would, and counts."""

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self.content = CONTENT if content is None else content
        self.calls = 0

    def __call__(self, libs: Path) -> None:
        self.calls += 1
        for name, content in self.content.items():
            (libs / name).write_bytes(content)


def ignore(_line: str) -> None:
    pass


def test_jars_are_fetched_once(tmp_path: Path) -> None:
    fetch = Fetch()

    first = cached_jars(tmp_path / "cache", fetch, ignore)
    second = cached_jars(tmp_path / "cache", fetch, ignore)

    assert first == second
    assert {path.name: path.read_bytes() for path in first.iterdir()} == CONTENT
    assert fetch.calls == 1


def test_a_jar_with_another_checksum_is_refused_and_nothing_is_installed(tmp_path: Path) -> None:
    fetch = Fetch({**CONTENT, "scala.jar": b"SCALA"})

    with pytest.raises(LocalKafkaUnavailableError, match=r"scala\.jar has the sha-256"):
        cached_jars(tmp_path / "cache", fetch, ignore)

    assert [path.name for path in (tmp_path / "cache").iterdir()] == [f"kafka-{KAFKA_VERSION}.lock"]


def test_missing_and_unknown_jars_are_named(tmp_path: Path, pins: dict[str, str]) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "other.jar").write_bytes(b"")

    with pytest.raises(LocalKafkaUnavailableError) as caught:
        check_jars(tmp_path / "libs", pins)

    assert "kafka.jar is missing; scala.jar is missing; other.jar is not one of Kafka's" in str(
        caught.value
    )


@pytest.mark.parametrize("damage", ["truncated", "removed", "added"])
def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, damage: str) -> None:
    fetch = Fetch()
    libs = cached_jars(tmp_path / "cache", fetch, ignore)
    if damage == "truncated":
        (libs / "scala.jar").write_bytes(b"sca")
    elif damage == "removed":
        (libs / "scala.jar").unlink()
    else:
        (libs / "other.jar").write_bytes(b"")

    again = cached_jars(tmp_path / "cache", fetch, ignore)

    assert {path.name: path.read_bytes() for path in again.iterdir()} == CONTENT
    assert fetch.calls == 2


def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(libs: Path) -> None:
        (libs / "kafka.jar").write_bytes(b"half")
        raise LocalKafkaUnavailableError("no network")

    with pytest.raises(LocalKafkaUnavailableError, match="no network"):
        cached_jars(tmp_path / "cache", fail, ignore)

    assert [path.name for path in (tmp_path / "cache").iterdir()] == [f"kafka-{KAFKA_VERSION}.lock"]


def test_two_that_want_the_jars_at_once_fetch_them_once(tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()
    fetch = Fetch()

    def slow(libs: Path) -> None:
        inside.set()
        assert go_on.wait(20)
        fetch(libs)

    first = threading.Thread(target=cached_jars, args=(tmp_path / "cache", slow, ignore))
    second = threading.Thread(target=cached_jars, args=(tmp_path / "cache", fetch, ignore))
    first.start()
    assert inside.wait(20)
    second.start()
    go_on.set()
    first.join()
    second.join()

    assert fetch.calls == 1


def test_a_cache_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalKafkaUnavailableError, match="set XDG_CACHE_HOME"):
        cached_jars(tmp_path / "file" / "cache", Fetch(), ignore)


def test_what_maven_says_is_passed_on(tmp_path: Path) -> None:
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[INFO] trying'\necho '[ERROR] unknown host'\nexit 1\n")
    mvn.chmod(0o755)

    with pytest.raises(
        LocalKafkaUnavailableError, match=r"is this machine online(?s:.*)\[ERROR\] unknown host"
    ):
        maven_fetch(mvn, None, {"PATH": "/usr/bin:/bin"})(tmp_path)


def test_the_pins_are_of_the_version_that_the_pom_asks_for() -> None:
    pinned = read_pins(POM.with_name("jars.sha256"))

    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in pinned
    assert f"<version>{KAFKA_VERSION}</version>" in POM.read_text("utf-8")
    assert all(len(checksum) == 64 for checksum in pinned.values())
