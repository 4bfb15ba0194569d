"""Services are found by name, and say what is missing."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from headrace.runtime import services
from headrace.runtime.environment import Values
from headrace.runtime.errors import SettingsError
from headrace.runtime.services import load_service
from headrace.runtime.settings import WorkerSettings


def test_a_service_whose_packages_are_missing_says_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(group: str) -> list[Any]:
        return [EntryPoint("http", "nowhere_installed.module:Service", group)]

    monkeypatch.setattr(services, "entry_points", found)

    with pytest.raises(SettingsError, match=r"pip install 'headrace\[http\]'"):
        load_service("http", WorkerSettings(http="127.0.0.1:0"), Values({}, {}))


def test_a_service_that_nobody_knows_is_told() -> None:
    with pytest.raises(SettingsError, match="there is no service 'gopher'"):
        load_service("gopher", WorkerSettings(), Values({}, {}))
