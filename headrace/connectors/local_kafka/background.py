"""A local Kafka that lives on by itself, and the file by which it is found again.

`broker.json` in the state folder names it: process id, port, data, version and when it started, with what tells the process
from a later one of the same id. The file outlives a broker that was killed, so it is believed only while that process runs.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headrace.connectors.local_kafka.data import remove
from headrace.connectors.local_kafka.errors import LocalKafkaStartError
from headrace.connectors.local_kafka.places import broker_state, kept_data
from headrace.connectors.local_kafka.process import DetachedProcess
from headrace.connectors.local_kafka.server import KafkaServer
from headrace.connectors.local_kafka.settings import LocalKafkaSettings
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.contracts.local_broker import BackgroundBroker, Progress

STATE_FILE = "broker.json"
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class _State:
    """What `broker.json` holds."""

    pid: int
    identity: str
    port: int
    data: str
    version: str
    started: str
    ephemeral: bool
    kill_command: list[str]

    def public(self) -> BackgroundBroker:
        return BackgroundBroker(
            pid=self.pid,
            port=self.port,
            data=Path(self.data),
            version=self.version,
            started=self.started,
            is_ephemeral=self.ephemeral,
        )

    def process(self) -> DetachedProcess:
        return DetachedProcess(self.pid, self.identity)


class Background:
    """The one broker of this user that may run in the background. Safe in several processes at once."""

    def __init__(self, environment: Mapping[str, str], clock: Clock | None = None) -> None:
        self._environment = environment
        self._clock = clock or SystemClock()
        self._folder = broker_state(environment)

    def find(self) -> BackgroundBroker | None:
        """The broker that runs; what a killed one left behind is cleared away."""
        with self._locked():
            state = self._running()
        return state.public() if state else None

    def start(self, settings: LocalKafkaSettings, progress: Progress) -> BackgroundBroker:
        """Start one and return when clients are answered.

        Raises:
            LocalKafkaStartError: one runs already, or it did not start.
            LocalKafkaUnavailableError: this machine has no Kafka that could be started.
        """
        with self._locked():
            if state := self._running():
                raise LocalKafkaStartError(
                    f"a local broker runs already on 127.0.0.1:{state.port} (process {state.pid}); "
                    "use that one, or stop it with `headrace broker stop`"
                )
            # The launcher throws its own temporary folders away when it ends; this one must outlive it.
            temporary = (
                Path(tempfile.mkdtemp(prefix="headrace-kafka-")) if settings.is_ephemeral else None
            )
            kafka = KafkaServer(
                dataclasses.replace(
                    settings,
                    data=temporary or settings.data or kept_data(self._environment),
                    ephemeral=False,
                ),
                environment=self._environment,
                progress=progress,
                clock=self._clock,
            )
            try:
                kafka.start(detached=True)
                state = self._state_of(kafka, is_ephemeral=temporary is not None)
                self._write(state)
            except BaseException:
                kafka.stop()
                if temporary is not None:
                    shutil.rmtree(temporary, ignore_errors=True)
                raise
            kafka.let_go()
            return state.public()

    def stop(self) -> BackgroundBroker | None:
        """End the one that runs: gracefully, or by force after 20 s; None when none runs."""
        with self._locked():
            state = self._running()
            if state is None:
                return None
            process = state.process()
            process.signal(signal.SIGTERM)
            if not process.wait(STOP_TIMEOUT_S):
                if state.kill_command:
                    subprocess.run(state.kill_command, capture_output=True, check=False)  # noqa: S603 # written by us
                process.signal(signal.SIGKILL)
                process.wait(STOP_TIMEOUT_S)
            self._clear(state)
            return state.public()

    def reset(self, data: Path | None) -> Path | None:
        """Delete a data folder; None when there was none.

        Raises:
            LocalKafkaStartError: a broker works on it, or it is not a data folder of headrace.
        """
        folder = self.data_folder(data)
        return folder if remove(folder) else None

    def data_folder(self, data: Path | None) -> Path:
        return (data or kept_data(self._environment)).absolute()

    def _state_of(self, kafka: KafkaServer, *, is_ephemeral: bool) -> _State:
        process = kafka.process
        assert isinstance(process, DetachedProcess)
        return _State(
            pid=process.pid,
            identity=process.identity,
            port=kafka.port,
            data=str(kafka.data),
            version=kafka.version,
            started=datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC).isoformat(),
            ephemeral=is_ephemeral,
            kill_command=kafka.kill_command(),
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / "broker.lock").open("w")
        except OSError as error:
            raise LocalKafkaStartError(
                f"the state folder {self._folder} cannot be written: {error.strerror}; set XDG_STATE_HOME to one that can"
            ) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _running(self) -> _State | None:
        path = self._folder / STATE_FILE
        try:
            state = _State(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
            return None
        if state.process().is_running():
            return state
        self._clear(state)
        return None

    def _write(self, state: _State) -> None:
        partial = self._folder / f"{STATE_FILE}.{os.getpid()}"
        partial.write_text(json.dumps(dataclasses.asdict(state), indent=1) + "\n", "utf-8")
        partial.replace(self._folder / STATE_FILE)

    def _clear(self, state: _State) -> None:
        """Forget a broker that has ended, and its data when they were not to be kept."""
        if state.ephemeral:
            with contextlib.suppress(LocalKafkaStartError):
                remove(Path(state.data))
        (self._folder / STATE_FILE).unlink(missing_ok=True)
