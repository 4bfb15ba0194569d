"""Class data sharing: an archive of Kafka's loaded classes, with which it starts in half the time (1.5 s for 2.9 s).

The archive is written by the Java of the first broker that ends gracefully, which takes that one stop two seconds longer.
JEP 350 up to Java 24, JEP 514 from 25 on.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from headrace.connectors.local_kafka.java import Java

KEPT = 4  # archives of other versions of Java or Kafka, some 60 MB each


class ClassData:
    """The archive for one Java with one list of jars."""

    def __init__(self, folder: Path, java: Java, jars: Sequence[Path]) -> None:
        self._folder = folder
        self._java = java
        # A Java refuses an archive whose jars differ in order, size or time, so these are its name.
        parts = [str(java.path.resolve()), str(java.path.stat().st_mtime_ns)]
        for jar in jars:
            status = jar.stat()
            parts.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
        self._archive = folder / f"{digest}.jsa"

    @property
    def _is_ahead_of_time(self) -> bool:
        return self._java.version >= 25

    def use(self) -> list[str]:
        """Flags that read the archive; empty when there is none yet."""
        if not self._archive.is_file():
            return []
        flag = "AOTCache" if self._is_ahead_of_time else "SharedArchiveFile"
        return [f"-XX:{flag}={self._archive}"]

    def record(self, name: str) -> list[str]:
        """Flags that write the archive when that Java ends; empty when it is there, or cannot be written.

        `name` is the broker's, for `keep`.
        """
        if self._archive.is_file():
            return []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return []
        if self._is_ahead_of_time:
            return [f"-XX:AOTCacheOutput={self._partial(name)}", "-Xlog:aot*=off"]
        return [f"-XX:ArchiveClassesAtExit={self._partial(name)}", "-Xlog:cds*=off"]

    def keep(self, name: str) -> None:
        """Take over what the broker `name` has written; call when its process has ended. Does nothing when it wrote nothing."""
        with contextlib.suppress(OSError):
            partial = self._partial(name)
            if partial.is_file():
                partial.replace(self._archive)
                archives = sorted(
                    self._folder.glob("*.jsa"), key=lambda path: path.stat().st_mtime_ns
                )
                for old in archives[:-KEPT]:
                    old.unlink()

    def drop(self, name: str) -> None:
        """Remove what the broker `name` may have written before it was killed."""
        with contextlib.suppress(OSError):
            self._partial(name).unlink(missing_ok=True)

    def _partial(self, name: str) -> Path:
        return self._archive.with_suffix(f".{name}.partial")
