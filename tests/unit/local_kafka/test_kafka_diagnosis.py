from pathlib import Path

import pytest

from headrace.connectors.local_kafka.diagnosis import explain, read_end
from headrace.connectors.local_kafka.errors import (
    DataInUseError,
    LocalKafkaStartError,
    PortTakenError,
)


def explained(text: str) -> LocalKafkaStartError:
    return explain(
        text,
        port=9092,
        data=Path("/data"),
        log=Path("/data/broker.log"),
        what="ended with exit code 1",
    )


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (
            "SocketException: Address already in use.",
            PortTakenError,
            "port 9092 of 127.0.0.1 is taken",
        ),
        (
            "Failed to acquire lock on file .lock in /data.",
            DataInUseError,
            "in use by another broker",
        ),
        (
            "java.io.IOException: No space left on device",
            LocalKafkaStartError,
            "no space is left on the device of /data",
        ),
        (
            "java.nio.file.AccessDeniedException: Permission denied",
            LocalKafkaStartError,
            "may not write in /data",
        ),
        (
            "Unknown meta.properties version number 7",
            LocalKafkaStartError,
            "another version of Kafka",
        ),
        (
            "o.a.k.ConfigException: Invalid value x for configuration y",
            LocalKafkaStartError,
            "properties: Invalid value x",
        ),
        (
            "OpenJDK: Could not reserve enough space for object heap",
            LocalKafkaStartError,
            "too little memory free",
        ),
        ("something new", LocalKafkaStartError, "Kafka did not start: it ended with exit code 1"),
    ],
)
def test_the_reason_in_the_log_becomes_the_message(
    line: str, kind: type[Exception], message: str
) -> None:
    error = explained(f"one\n{line}\n")

    assert type(error) is kind
    assert message in str(error).splitlines()[0]
    assert str(error).splitlines()[1:] == [
        "the last lines of /data/broker.log:",
        "  one",
        f"  {line}",
    ]


def test_stack_frames_and_repetitions_are_left_out() -> None:
    error = explained("first\nfirst\n\tat kafka.Kafka.main(Kafka.scala)\n\t... 16 more\nlast\n")

    assert str(error).splitlines()[2:] == ["  first", "  last"]


def test_an_empty_log_is_said_to_be_empty() -> None:
    assert "(it logged nothing)" in str(explained(""))


def test_only_the_log_of_this_start_is_read(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_text("earlier\nlater\n")

    assert read_end(log, since=8) == "later\n"
    assert read_end(tmp_path / "missing") == ""
