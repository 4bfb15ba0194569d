import json
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import pytest
from click.testing import CliRunner, Result

from headrace.connectors.local_kafka import LocalKafka
from headrace.runtime.cli import broker as commands
from headrace.runtime.contracts.local_broker import (
    BackgroundBroker,
    LocalBrokerLauncher,
    Progress,
)
from headrace.runtime.errors import BrokerUnavailableError, SettingsError


class FakeBroker:
    """Ends at once when it is asked to; tells when it was stopped."""

    brokers = "127.0.0.1:9092"
    version = "4.3.1"
    data = Path("/data")
    log_path = Path("/data/broker.log")

    def __init__(self) -> None:
        self.is_running = True
        self.was_stopped = False

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.was_stopped = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class FakeLauncher:
    """One broker in the background, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.foreground = FakeBroker()
        self.background: BackgroundBroker | None = None
        self.asked: dict[str, object] = {}

    def in_foreground(
        self, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> FakeBroker:
        self.asked = {"port": port, "data": data, "ephemeral": ephemeral}
        progress("starting")
        return self.foreground

    def start_in_background(
        self, *, port: int, data: Path | None, ephemeral: bool, progress: Progress
    ) -> BackgroundBroker:
        self.asked = {"port": port, "data": data, "ephemeral": ephemeral}
        progress("starting")
        self.background = BackgroundBroker(
            pid=7,
            port=port,
            data=data or self.folder,
            version="4.3.1",
            started="2026-01-01T00:00:00+00:00",
            is_ephemeral=ephemeral,
        )
        return self.background

    def in_background(self) -> BackgroundBroker | None:
        return self.background

    def stop_background(self) -> BackgroundBroker | None:
        stopped, self.background = self.background, None
        return stopped

    def reset(self, data: Path | None) -> Path | None:
        folder = self.data_folder(data)
        if not folder.exists():
            return None
        folder.rmdir()
        return folder

    def data_folder(self, data: Path | None) -> Path:
        return data or self.folder


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    fake = FakeLauncher(tmp_path / "kept")
    monkeypatch.setattr(commands, "find_launcher", lambda: fake)
    return fake


def invoke(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(commands.broker, list(arguments), input=text)


def test_start_prints_the_address_alone_on_standard_output(launcher: FakeLauncher) -> None:
    result = invoke("start", "--port", "9393", "--ephemeral")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "127.0.0.1:9393\n", "starting\n")
    assert launcher.asked == {"port": 9393, "data": None, "ephemeral": True}


def test_start_takes_the_port_that_kafka_users_expect(launcher: FakeLauncher) -> None:
    result = invoke("start", "--json")

    assert json.loads(result.stdout)["brokers"] == "127.0.0.1:9092"
    assert launcher.asked["ephemeral"] is False


def test_status_exits_with_0_when_a_broker_runs_and_1_when_none_does(
    launcher: FakeLauncher,
) -> None:
    before = invoke("status", "--json")
    invoke("start")
    during = invoke("status", "--json")

    assert (before.exit_code, json.loads(before.stdout)) == (1, {"running": False})
    assert during.exit_code == 0
    assert json.loads(during.stdout)["pid"] == 7
    assert "process 7" in invoke("status").stdout


def test_stop_says_what_became_of_the_records(launcher: FakeLauncher) -> None:
    invoke("start")
    kept = invoke("stop")
    invoke("start", "--ephemeral")
    thrown_away = invoke("stop")

    assert "records kept in" in kept.stdout
    assert "records thrown away" in thrown_away.stdout


def test_stopping_nothing_is_no_error(launcher: FakeLauncher) -> None:
    assert invoke("stop").exit_code == 0
    assert json.loads(invoke("stop", "--json").stdout) == {"stopped": None}


def test_reset_asks_before_it_deletes(launcher: FakeLauncher) -> None:
    launcher.folder.mkdir()

    refused = invoke("reset", text="n\n")
    still_there = launcher.folder.exists()
    agreed = invoke("reset", text="y\n")

    assert refused.exit_code == 1
    assert still_there
    assert agreed.stdout.strip() == f"deleted {launcher.folder}"
    assert not launcher.folder.exists()


def test_reset_does_not_ask_with_yes_or_when_there_is_nothing(
    launcher: FakeLauncher, tmp_path: Path
) -> None:
    named = tmp_path / "named"
    named.mkdir()

    deleted = invoke("reset", "--yes", "--json", "--data", str(named))
    nothing = invoke("reset")

    assert json.loads(deleted.stdout) == {"deleted": str(named)}
    assert "nothing to delete" in nothing.stdout


def test_a_broker_in_the_foreground_is_stopped_at_a_signal(
    launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(_text: str) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        assert callable(handler)
        handler(signal.SIGTERM, None)

    monkeypatch.setattr("threading.Event", lambda: _EventThatSignals(arrive))
    earlier = signal.getsignal(signal.SIGTERM)

    result = invoke("--port", "9393", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["brokers"] == "127.0.0.1:9092"
    assert launcher.asked["port"] == 9393
    assert launcher.foreground.was_stopped
    assert signal.getsignal(signal.SIGTERM) is earlier


class _EventThatSignals:
    """An event in whose `wait` the signal arrives."""

    waits: ClassVar[int] = 0

    def __init__(self, arrive: Progress) -> None:
        self._arrive = arrive
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def wait(self, _timeout: float) -> bool:
        self._arrive("")
        return self._is_set


def test_a_broker_that_ends_by_itself_is_an_error_with_its_log(
    launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.foreground.is_running = False
    monkeypatch.setattr(commands, "LOOK_S", 0)

    result = invoke("run")

    assert isinstance(result.exception, BrokerUnavailableError)
    assert "/data/broker.log" in str(result.exception)


def test_an_option_before_the_command_is_an_error(launcher: FakeLauncher) -> None:
    result = invoke("--json", "status")

    assert result.exit_code == 2
    assert "--json goes after 'status'" in result.stderr


def test_the_installed_launcher_is_found_by_its_entry_point() -> None:
    found: LocalBrokerLauncher = commands.find_launcher()
    meant: LocalBrokerLauncher = LocalKafka

    assert found is meant


def test_a_launcher_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*, group: str, name: str) -> list[EntryPoint]:
        return []

    monkeypatch.setattr(commands, "entry_points", none)

    with pytest.raises(SettingsError, match=r"entry-point group headrace\.local_brokers"):
        commands.find_launcher()


def test_the_command_is_imported_without_the_clients_it_may_never_need() -> None:
    script = "import sys, headrace.runtime.cli.broker; print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    heavy = {"confluent_kafka", "rich", "pydantic", "headrace.connectors"}
    assert heavy.isdisjoint(ran.stdout.split())
