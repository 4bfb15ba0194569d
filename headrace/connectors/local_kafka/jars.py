"""Kafka's jars in the user's cache directory: fetched once by Maven, and known by their checksums."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headrace.connectors.local_kafka.errors import LocalKafkaUnavailableError
from headrace.runtime.contracts.local_broker import Progress

KAFKA_VERSION = "4.3.1"
HERE = Path(__file__).parent
POM = HERE / "pom.xml"
PINS = HERE / "jars.sha256"
RECEIPT = "sizes.json"
FETCH_TIMEOUT_S = 900


def read_pins(path: Path = PINS) -> dict[str, str]:
    """Checksum by name of jar, from a file as `sha256sum` writes it."""
    pins = {}
    for line in path.read_text("utf-8").splitlines():
        checksum, name = line.split()
        pins[name] = checksum
    return pins


def is_complete(folder: Path) -> bool:
    """Whether the jars are there in the sizes that they had when their checksums were right.

    Called at each start, so it reads no jar.
    """
    try:
        sizes: dict[str, int] = json.loads((folder / RECEIPT).read_text("utf-8"))
        found = {jar.name: jar.stat().st_size for jar in (folder / "libs").iterdir()}
    except (OSError, ValueError):
        return False
    return found == sizes and found.keys() == read_pins().keys()


def cached_jars(cache: Path, fetch: Callable[[Path], None], progress: Progress) -> Path:
    """The folder of the jars; what is missing or damaged is fetched anew.

    Safe in several processes at once: one fetches, the others wait for it. `fetch` copies the jars into the folder that
    it is given.

    Raises:
        LocalKafkaUnavailableError: they cannot be fetched, or are not the ones that were pinned.
    """
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if is_complete(folder):
        return folder / "libs"
    with _locked(cache, folder.name):
        if not is_complete(folder):
            progress(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (45 MB, once)")
            _install(folder, fetch)
    return folder / "libs"


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        file = (cache / f"{name}.lock").open("w")
    except OSError as error:
        raise LocalKafkaUnavailableError(
            f"the cache directory {cache} cannot be written: {error.strerror}; set XDG_CACHE_HOME to one that can, or KAFKA_HOME"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(folder: Path, fetch: Callable[[Path], None]) -> None:
    """Replace `folder` as a whole: (1) fetch beside it, (2) check, (3) write the receipt, (4) rename."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        libs = partial / "libs"
        libs.mkdir()
        fetch(libs)  # (1)
        check_jars(libs, read_pins())  # (2)
        sizes = {jar.name: jar.stat().st_size for jar in sorted(libs.iterdir())}
        (partial / RECEIPT).write_text(json.dumps(sizes, indent=1), "utf-8")  # (3)
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)  # (4)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_jars(libs: Path, pins: Mapping[str, str]) -> None:
    """Compare every jar with its pinned checksum.

    Raises:
        LocalKafkaUnavailableError: naming the jars that are missing, unknown or different.
    """
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in libs.iterdir()}
    wrong = [f"{name} is missing" for name in sorted(pins.keys() - found.keys())]
    wrong += [f"{name} is not one of Kafka's" for name in sorted(found.keys() - pins.keys())]
    wrong += [
        f"{name} has the sha-256 {found[name][:16]}..., expected {pins[name][:16]}..."
        for name in sorted(pins.keys() & found.keys())
        if found[name] != pins[name]
    ]
    if wrong:
        raise LocalKafkaUnavailableError(
            "what Maven fetched is not the Kafka that was checked, so it was not installed: "
            + "; ".join(wrong[:5])
            + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
            + "; remove the jar from Maven's local repository and try again, or set KAFKA_HOME"
        )


def maven_fetch(
    mvn: Path, java_home: Path | None, environment: Mapping[str, str]
) -> Callable[[Path], None]:
    """A `fetch` for `cached_jars`. Maven runs on the Java that the broker will run on."""

    def fetch(libs: Path) -> None:
        command: list[str | Path] = [mvn, "-q", "-B", "-f", POM, "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={libs}", "-DincludeScope=runtime"]
        variables = {**environment, **({"JAVA_HOME": str(java_home)} if java_home else {})}
        try:
            ran = subprocess.run(  # noqa: S603 # the user's own Maven
                command,
                capture_output=True,
                text=True,
                timeout=FETCH_TIMEOUT_S,
                env=variables,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LocalKafkaUnavailableError(
                f"Maven could not fetch Kafka's jars: {error}"
            ) from error
        if ran.returncode != 0:
            said = [line for line in (ran.stdout + ran.stderr).splitlines() if "ERROR" in line][:4]
            raise LocalKafkaUnavailableError(
                "Maven could not fetch Kafka's jars; is this machine online, and does Maven know its proxy or mirror "
                "(~/.m2/settings.xml)? It said:\n" + "\n".join(f"  {line[:300]}" for line in said)
            )

    return fetch
