"""The data folder of a local broker: whose it is, who works on it, and its layout.

::

    headrace-kafka.json    says that the folder is ours, the cluster id and the newest Kafka that wrote it
    lock                   held by the launcher and the broker for as long as either works on the folder
    server.properties      written anew at each start
    log4j2.yaml            the same
    broker.log             what Kafka logged, start after start
    kafka/                 Kafka's own files
    tmp/                   libraries that Java unpacks
"""

import base64
import fcntl
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import IO

from headrace.connectors.local_kafka.diagnosis import data_in_use
from headrace.connectors.local_kafka.errors import DataInUseError, LocalKafkaStartError

MARKER = "headrace-kafka.json"
FORMAT = 1
LOG_BYTES_MAX = 10_000_000


class DataFolder:
    """One data folder, locked from `open` to `close`.

    The lock's descriptor is given to the broker's process too, so that the folder stays locked while either lives.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        self._marker: dict[str, object] = {}

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def properties(self) -> Path:
        return self.path / "server.properties"

    @property
    def log(self) -> Path:
        return self.path / "broker.log"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"

    @property
    def lock_descriptor(self) -> int:
        assert self._lock is not None
        return self._lock.fileno()

    @property
    def cluster_id(self) -> str:
        return str(self._marker["cluster_id"])

    @property
    def is_formatted(self) -> bool:
        return (self.kafka / "meta.properties").is_file()

    def open(self, version: str) -> None:
        """Make the folder when it is missing, lock it, and see that Kafka `version` can work on it.

        Raises:
            DataInUseError: a broker works on it.
            LocalKafkaStartError: it holds something else, or what a newer Kafka wrote, or cannot be written.
        """
        marker = self.path / MARKER
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not marker.is_file() and (others := _others(self.path)):
                raise LocalKafkaStartError(
                    f"{self.path} is not a data folder of headrace: it holds {', '.join(others[:3])}; "
                    "choose an empty or new folder"
                )
            self._take_lock()
            self._marker = self._read_or_make_marker(marker, version)
            self.temporary.mkdir(exist_ok=True)
            if self.log.is_file() and self.log.stat().st_size > LOG_BYTES_MAX:
                self.log.replace(self.path / "broker.log.1")
        except OSError as error:
            self.close()
            raise LocalKafkaStartError(
                f"the data folder {self.path} cannot be used: {error.strerror}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _take_lock(self) -> None:
        self._lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataInUseError(data_in_use(self.path, self._owner())) from None

    def _owner(self) -> str:
        try:
            lines = self.properties.read_text("utf-8").splitlines()
        except OSError:
            return ""
        address = next((line for line in lines if line.startswith("advertised.listeners=")), "")
        port = address.rpartition(":")[2]
        return f" (on port {port})" if port.isdigit() else ""

    def _read_or_make_marker(self, path: Path, version: str) -> dict[str, object]:
        if not path.is_file():
            made: dict[str, object] = {
                "format": FORMAT,
                "kafka": version,
                "cluster_id": _random_id(),
            }
            _write_whole(path, made)
            return made
        try:
            found = json.loads(path.read_text("utf-8"))
            newest, layout, _ = str(found["kafka"]), int(found["format"]), str(found["cluster_id"])
            is_newer = _parts(newest) > _parts(version)
        except (ValueError, KeyError, TypeError) as error:
            raise LocalKafkaStartError(
                f"{path} is damaged; throw the data away with `headrace broker reset`, or choose another folder"
            ) from error
        if layout != FORMAT or is_newer:
            raise LocalKafkaStartError(
                f"{self.path} was written by Kafka {newest} (layout {layout}), and this is Kafka {version} (layout {FORMAT}); "
                "start that version, choose another folder, or throw the data away with `headrace broker reset`"
            )
        if newest != version:
            found["kafka"] = version
            _write_whole(path, found)
        return dict(found)

    def close(self) -> None:
        """Give the lock back, unless a broker's process holds it still. May be called again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def remove(path: Path) -> bool:
    """Delete a data folder that no broker works on; False when there is none.

    Raises:
        DataInUseError: a broker works on it.
        LocalKafkaStartError: it is not a data folder of headrace, so it is left alone.
    """
    if not path.exists():
        return False
    if not (path / MARKER).is_file():
        raise LocalKafkaStartError(
            f"{path} is not a data folder of headrace (it has no {MARKER}), so it was not deleted"
        )
    folder = DataFolder(path)
    try:
        folder._take_lock()  # noqa: SLF001 # the same file; the marker may be damaged, so `open` would refuse
        shutil.rmtree(path)
    except OSError as error:
        raise LocalKafkaStartError(f"{path} cannot be deleted: {error.strerror}") from error
    finally:
        folder.close()
    return True


def _others(path: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in path.iterdir()
        if entry.name != "lock" and not entry.name.startswith("headrace-kafka.")
    )


def _random_id() -> str:
    """A random UUID as Kafka writes it. None begins with a hyphen, which a command line would take for an option."""
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("="))[
        0
    ] == "-":
        pass
    return text


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _write_whole(path: Path, content: dict[str, object]) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    partial.replace(path)
