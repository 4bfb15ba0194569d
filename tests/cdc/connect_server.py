"""A Kafka Connect of the tests' own: one distributed worker with Debezium's connectors, on a free loopback port."""

import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from headrace.connectors.local_kafka.java import Java, find_java
from headrace.connectors.local_kafka.places import cache_home, find_program
from headrace.runtime.clock import SystemClock
from tests.cdc.postgres_server import free_port

POM = Path(__file__).parent / "connect_jars" / "pom.xml"
START_S = 120.0
FETCH_S = 900
LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n%xThrowable{short}
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def java() -> Java:
    found, looked_at = find_java(os.environ)
    assert found, f"Kafka Connect needs Java: {looked_at}"
    return found


def jars() -> Path:
    """The folder of the jars, in the cache beside those of the local broker; fetched once, by one process."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = cache_home(os.environ) / f"connect-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """Beside it, then renamed, so that a folder of this name is a whole one."""
    mvn = find_program("mvn", os.environ)
    assert mvn, "mvn is not installed; on Debian: apt-get install maven"
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        command = [str(mvn), "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={partial}", "-DincludeScope=runtime"]
        home = {"JAVA_HOME": str(java().path.resolve().parent.parent)}
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=FETCH_S,
            env={**os.environ, **home},
            check=False,
        )
        assert ran.returncode == 0, (ran.stdout + ran.stderr)[-2000:]
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class ConnectServer:
    """Started and stopped by its test. Its source connectors write exactly once."""

    def __init__(self, brokers: str, heap: str = "512m") -> None:
        self.brokers = brokers
        self.port = free_port()
        self._heap = heap
        self._clock = SystemClock()
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-connect-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._folder / "log"
        group = f"connect-{uuid.uuid4().hex[:8]}"
        properties: dict[str, Any] = {
            "bootstrap.servers": brokers,
            "group.id": group,
            "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "exactly.once.source.support": "enabled",
            "offset.flush.interval.ms": 1000,
            "plugin.discovery": "only_scan",
            # The work of a worker that was killed is given to the next one soon.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 0,
        }
        for kind in ("offset", "config", "status"):
            properties[f"{kind}.storage.topic"] = f"{group}-{kind}"
            properties[f"{kind}.storage.replication.factor"] = 1
        properties["offset.storage.partitions"] = properties["status.storage.partitions"] = 1
        self._properties = self._folder / "worker.properties"
        self._properties.write_text("".join(f"{key}={it}\n" for key, it in properties.items()))
        (self._folder / "log4j2.properties").write_text(LOGGING)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "started"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it takes connectors."""
        found = java()
        command = [str(found.path), *found.quiet_flags, f"-Xmx{self._heap}", "-XX:-UsePerfData"]
        command += [f"-Djava.io.tmpdir={self._folder}"]
        command += [f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"]
        command += ["-cp", f"{jars()}/*", "org.apache.kafka.connect.cli.ConnectDistributed"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._properties)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until_s = self._clock.monotonic_s() + START_S
        while not self._answers():
            assert self._process.poll() is None, self.log[-3000:]
            assert self._clock.monotonic_s() < until_s, self.log[-3000:]
            self._clock.sleep(0.1)

    def _answers(self) -> bool:
        """Connectors are listed only when the worker is a member of its group."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/connectors")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it at once, as a crash does; `start` starts it again, at the same address."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """End it, and throw away what it wrote."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> "ConnectServer":
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()
