"""Environment variables and secrets for expressions."""

from pathlib import Path

import pytest

from headrace.runtime.environment import Values, config_path, settings_of_environment, state_home
from headrace.runtime.errors import SettingsError


def test_an_environment_variable_is_read_and_a_missing_one_is_told() -> None:
    values = Values({"A": "1"})

    assert values.env("A") == "1"
    with pytest.raises(SettingsError, match=r"env\.B: the environment variable B is not set"):
        values.env("B")


def test_a_secret_comes_from_its_variable_before_its_file(tmp_path: Path) -> None:
    (tmp_path / "db-pass").write_text("of the file\n")
    (tmp_path / "two").write_text("line\n\n")
    env = {"HEADRACE_SECRETS_DIR": str(tmp_path), "HEADRACE_SECRET_API_KEY": "of the variable"}
    values = Values(env)

    assert values.secret("api-key") == "of the variable"
    assert values.secret("db-pass") == "of the file"
    assert values.secret("two") == "line\n"
    assert values.secret_values == {"of the variable", "of the file", "line\n"}


def test_a_secret_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("first")
    values = Values({"HEADRACE_SECRETS_DIR": str(tmp_path)})
    values.secret("a")
    path.write_text("second")

    assert values.secret("a") == "first"


def test_a_missing_secret_tells_both_places_and_no_other_secret(tmp_path: Path) -> None:
    values = Values({"HEADRACE_SECRETS_DIR": str(tmp_path), "HEADRACE_SECRET_B": "hidden"})

    with pytest.raises(SettingsError) as caught:
        values.secret("a-b")

    assert str(caught.value) == (
        "secret.a-b: neither the variable HEADRACE_SECRET_A_B nor the file"
        f" {tmp_path / 'a-b'} is there"
    )


def test_given_secrets_are_all_there_are() -> None:
    values = Values({"HEADRACE_SECRET_B": "x"}, {"A": "1", "EMPTY": ""})

    assert (values.secret("A"), values.secret("EMPTY")) == ("1", "")
    assert values.secret_values == {"1"}
    with pytest.raises(SettingsError, match="no secret of this name among those given"):
        values.secret("B")


def test_settings_and_client_settings_are_told_apart() -> None:
    env = {
        "HEADRACE_BROKERS": "a:1",
        "HEADRACE_CLIENT_SASL_PASSWORD": "p",
        "HEADRACE_SECRET_X": "s",
        "HEADRACE_SECRETS_DIR": "/x",
        "HEADRACE_CONFIG": "/y",
        "OTHER": "z",
    }

    assert settings_of_environment(env) == {"brokers": "a:1", "client": {"sasl.password": "p"}}


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")

    assert config_path({}) is None
    assert config_path({"HEADRACE_CONFIG": "/x.yaml"}) == Path("/x.yaml")
    assert state_home({"XDG_STATE_HOME": "/s"}) == Path("/s/headrace")
    assert state_home({}) == Path("/home/me/.local/state/headrace")
