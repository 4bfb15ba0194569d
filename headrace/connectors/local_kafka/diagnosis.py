"""What Kafka's log says about why it did not start."""

import re
from pathlib import Path

from headrace.connectors.local_kafka.errors import (
    DataInUseError,
    LocalKafkaStartError,
    PortTakenError,
)

SHOWN_LINES = 6
READ_BYTES = 200_000


def read_end(log: Path, since: int = 0) -> str:
    """What was written to the log after byte `since`, at most its last 200,000 bytes."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - READ_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def explain(text: str, *, port: int, data: Path, log: Path, what: str) -> LocalKafkaStartError:
    """The error for a start that failed; `text` is what Kafka logged and `what` is how it ended."""
    kind, reason = _reason(text, port, data)
    lines = _last_lines(text)
    shown = "\n".join(f"  {line}" for line in lines) or "  (it logged nothing)"
    return kind(f"{reason or f'Kafka did not start: it {what}'}\nthe last lines of {log}:\n{shown}")


def _reason(text: str, port: int, data: Path) -> tuple[type[LocalKafkaStartError], str | None]:
    if "Address already in use" in text or "port is already allocated" in text:
        return PortTakenError, port_taken(port)
    if "Failed to acquire lock on file" in text:
        return DataInUseError, data_in_use(data)
    if "No space left on device" in text:
        return (
            LocalKafkaStartError,
            f"Kafka did not start: no space is left on the device of {data}",
        )
    if "Permission denied" in text:
        return LocalKafkaStartError, f"Kafka did not start: this user may not write in {data}"
    if re.search(
        r"Unknown meta.properties version|[Uu]nknown metadata.version|No MetadataVersion with feature level",
        text,
    ):
        return LocalKafkaStartError, (
            f"Kafka did not start: {data} was written by another version of Kafka; choose another folder, or throw "
            "the data away with `headrace broker reset`"
        )
    if found := re.search(r"(?:ConfigException|IllegalArgumentException): (.*)", text):
        return LocalKafkaStartError, f"Kafka refused one of its properties: {found[1].strip()}"
    if re.search(
        r"Cannot allocate memory|Could not reserve enough space|insufficient memory", text
    ):
        return (
            LocalKafkaStartError,
            "Kafka did not start: the machine has too little memory free; see memory_mb",
        )
    return LocalKafkaStartError, None


def port_taken(port: int) -> str:
    """The message."""
    return f"port {port} of 127.0.0.1 is taken by another program; end that program, or choose another port"


def data_in_use(data: Path, by: str = "") -> str:
    """The message; `by` says more about that broker, with a space in front."""
    return f"the data folder {data} is in use by another broker{by}; stop that one, or choose another folder"


def _last_lines(text: str) -> list[str]:
    """The last lines that say something: no stack frames, none twice."""
    lines: list[str] = []
    for line in text.splitlines():
        line = line.rstrip()
        if line and not re.match(r"\s+at |\s+\.\.\. \d+ more", line) and line not in lines:
            lines.append(line[:300])
    return lines[-SHOWN_LINES:]
