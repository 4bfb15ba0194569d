"""Starts, watches and ends a local Kafka."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.connectors.local_kafka.configuration import server_properties
from headrace.connectors.local_kafka.data import DataFolder
from headrace.connectors.local_kafka.diagnosis import explain, port_taken, read_end
from headrace.connectors.local_kafka.distribution import Distribution, Run, find_distribution
from headrace.connectors.local_kafka.errors import LocalKafkaStartError, PortTakenError
from headrace.connectors.local_kafka.places import environment_or_own, kept_data
from headrace.connectors.local_kafka.ports import free_port, is_free
from headrace.connectors.local_kafka.probe import answering_cluster
from headrace.connectors.local_kafka.process import BrokerProcess, ChildProcess, DetachedProcess
from headrace.connectors.local_kafka.settings import LocalKafkaSettings
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.contracts.local_broker import Progress

LOGGING = Path(__file__).parent / "log4j2.yaml"
PORT_ATTEMPTS = 3
POLL_S = 0.02


class KafkaServer:
    """Apache Kafka on this machine, as one process that is broker and controller.

    ::

        with KafkaServer() as kafka:
            connect(kafka.brokers)

    Not thread-safe, but any thread may call it. Everything blocks: `start` about two seconds (and once the time in which
    Maven fetches 45 MB). The process ends with this one, even when this one is killed. `environment` stands in for the
    process's own variables; `progress` is told what is going on, one line at a time.
    """

    def __init__(
        self,
        settings: LocalKafkaSettings | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings or LocalKafkaSettings()
        self._environment = environment_or_own(environment)
        self._progress = progress or (lambda _: None)
        self._clock = clock or SystemClock()
        self._distribution: Distribution | None = None
        self._folder: DataFolder | None = None
        self._temporary: Path | None = None
        self._process: BrokerProcess | None = None
        self._port = self._settings.port
        self._name = ""

    @property
    def port(self) -> int:
        """Stays the same over `kill` and `restart`.

        Raises:
            LocalKafkaStartError: it is to be a free one, and the broker has not been started yet.
        """
        if self._port == 0:
            raise LocalKafkaStartError("the local broker has no port before it is started")
        return self._port

    @property
    def brokers(self) -> str:
        """What clients call bootstrap servers: `127.0.0.1:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        assert self._folder is not None, "started"
        return self._folder.path

    @property
    def log_path(self) -> Path:
        assert self._folder is not None, "started"
        return self._folder.log

    @property
    def version(self) -> str:
        assert self._distribution is not None, "started"
        return self._distribution.version

    @property
    def process(self) -> BrokerProcess | None:
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, *, detached: bool = False) -> None:
        """Start and return when clients are answered; does nothing when it runs already.

        A detached broker lives on when this process ends, and nobody throws its data away.

        (1) find a Kafka, (2) lock the data folder, (3) give it Kafka's format, (4) start, (5) wait for an answer. When any
        of these fails, nothing is left running or locked.

        Raises:
            LocalKafkaUnavailableError: this machine has no Kafka that could be started.
            LocalKafkaStartError: Kafka did not start; says why and ends with the last lines of its log.
        """
        if self.is_running:
            return
        self._distribution = self._distribution or find_distribution(
            self._environment, self._progress
        )  # (1)
        try:
            if self._folder is None:
                folder = DataFolder(self._choose_data())
                folder.open(self._distribution.version)  # (2)
                self._folder = folder
            self._progress(f"starting Apache Kafka {self._distribution.version}")
            self._start_on_a_port(self._distribution, self._folder, detached)
        except OSError as error:
            place = self._folder.path if self._folder else tempfile.gettempdir()
            self._forget()
            raise LocalKafkaStartError(
                f"Kafka could not be started in {place}: {error.strerror}"
            ) from error
        except BaseException:
            self._forget()
            raise

    def _choose_data(self) -> Path:
        if self._settings.data is not None:
            return self._settings.data.absolute()
        if not self._settings.is_ephemeral:
            return kept_data(self._environment).absolute()
        self._temporary = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
        return self._temporary

    def _start_on_a_port(
        self, distribution: Distribution, folder: DataFolder, detached: bool
    ) -> None:
        if self._port:
            if not is_free(self._port):
                raise PortTakenError(port_taken(self._port))
            self._start_once(distribution, folder, self._port, detached)
            return
        for attempt in range(1, PORT_ATTEMPTS + 1):
            port = free_port()
            try:
                self._start_once(distribution, folder, port, detached)
            except PortTakenError:
                # Between the choice of a free port and Kafka's use of it another program took it.
                if attempt == PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    def _start_once(
        self, distribution: Distribution, folder: DataFolder, port: int, detached: bool
    ) -> None:
        properties = server_properties(
            port=port,
            controller_port=free_port(excluding=(port,)),
            listen_host=distribution.listen_host,
            logs=folder.kafka,
            properties=self._settings.properties,
        )
        folder.properties.write_text(properties, "ascii")
        shutil.copyfile(LOGGING, folder.path / LOGGING.name)
        log_begins = folder.log.stat().st_size if folder.log.exists() else 0
        if not folder.is_formatted:
            self._format(distribution, folder, port)  # (3)
        self._name = _new_name()
        command = self._command(
            distribution, folder, ["kafka.Kafka", str(folder.properties)], port, record=not detached
        )
        self._process = self._spawn(distribution, folder, command, detached)  # (4)
        try:
            self._await_answer(folder, port, log_begins)  # (5)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _command(
        self,
        distribution: Distribution,
        folder: DataFolder,
        main: Sequence[str],
        port: int | None,
        *,
        record: bool,
    ) -> list[str]:
        class_data = distribution.class_data
        flags = class_data.use() if class_data else []
        if class_data and record:
            flags += class_data.record(self._name)
        arguments = [
            f"-Xmx{self._settings.memory_mb}m",
            "-XX:-UsePerfData",
            *flags,
            f"-Djava.io.tmpdir={folder.temporary}",
            f"-Dlog4j2.configurationFile={folder.path / LOGGING.name}",
            *main,
        ]
        return distribution.command(
            Run(arguments=arguments, folder=folder.path, name=self._name, port=port)
        )

    def _format(self, distribution: Distribution, folder: DataFolder, port: int) -> None:
        """Give the folder Kafka's format, whole or not at all."""
        shutil.rmtree(folder.kafka, ignore_errors=True)
        self._name = _new_name()
        main = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            folder.cluster_id,
            "-c",
            str(folder.properties),
        ]
        command = self._command(distribution, folder, main, None, record=False)
        try:
            ran = subprocess.run(  # noqa: S603 # the Java or Docker that was found
                command,
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._settings.start_timeout_s,
                check=False,
            )
            said, how = ran.stdout + ran.stderr, f"ended with exit code {ran.returncode}"
        except subprocess.TimeoutExpired as error:
            said, how = (
                str(error),
                f"did not format its data within {self._settings.start_timeout_s:g} s",
            )
        with contextlib.suppress(OSError), folder.log.open("a", encoding="utf-8") as log:
            log.write(said)
        if how != "ended with exit code 0":
            shutil.rmtree(folder.kafka, ignore_errors=True)
            raise explain(said, port=port, data=folder.path, log=folder.log, what=how)

    def _spawn(
        self, distribution: Distribution, folder: DataFolder, command: Sequence[str], detached: bool
    ) -> BrokerProcess:
        keep_open = [folder.lock_descriptor]
        if detached:
            return DetachedProcess.start(
                command, log=folder.log, folder=folder.path, keep_open=keep_open
            )
        return ChildProcess(
            command,
            log=folder.log,
            folder=folder.path,
            keep_open=keep_open,
            remove=self._temporary,
            kill_command=distribution.kill_command(self._name),
        )

    def _await_answer(self, folder: DataFolder, port: int, log_begins: int) -> None:
        """Wait until the broker with *our* cluster id answers; another one on the port is not ours."""
        assert self._process is not None
        end = self._clock.monotonic_s() + self._settings.start_timeout_s
        while answering_cluster(port) != folder.cluster_id:
            if not self._process.is_running():
                how = self._process.describe_end()
            elif self._clock.monotonic_s() >= end:
                how = f"did not answer within {self._settings.start_timeout_s:g} s"
            else:
                self._clock.sleep(POLL_S)
                continue
            raise explain(
                read_end(folder.log, log_begins),
                port=port,
                data=folder.path,
                log=folder.log,
                what=how,
            )

    def kill_command(self) -> list[str]:
        """What must run, beside a kill of the process, to end the broker at once; empty for nothing."""
        assert self._distribution is not None, "started"
        return self._distribution.kill_command(self._name)

    def kill(self) -> None:
        """SIGKILL, as a crash of the broker: nothing is flushed or said goodbye to. The data stays, for `restart`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same data and port, after a graceful end when it still runs.

        After `kill` it takes as long as the broker's session with its controller lasts, three seconds by default:
        `broker.session.timeout.ms`.

        Raises:
            LocalKafkaStartError: it did not start, or was stopped before.
        """
        if self._folder is None:
            raise LocalKafkaStartError(
                "the local broker was not started, or was stopped, so it cannot be restarted"
            )
        self._end(signal.SIGTERM)
        self.start()

    def stop(self) -> None:
        """End gracefully; then throw ephemeral data away. May be called again, and when nothing was started."""
        self._end(signal.SIGTERM)
        self._forget()

    def let_go(self) -> None:
        """Forget a detached broker, which lives on and holds the lock of its data folder by itself."""
        self._process = None
        self._forget()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert self._distribution is not None
        class_data = self._distribution.class_data
        if how is signal.SIGTERM:
            process.signal(how)
            if process.wait(self._settings.stop_timeout_s):
                if class_data:
                    class_data.keep(self._name)
                return
        if command := self._distribution.kill_command(self._name):
            subprocess.run(command, capture_output=True, check=False)  # noqa: S603 # the Docker that was found
        process.signal(signal.SIGKILL)
        process.wait(self._settings.stop_timeout_s)
        if class_data:
            class_data.drop(self._name)

    def _forget(self) -> None:
        """Give up the folder's lock, and the folder when it is temporary."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def _new_name() -> str:
    """A name that no other broker on this machine has or had."""
    return f"headrace-kafka-{os.getpid()}-{secrets.token_hex(4)}"
