"""Settings: where they come from, which one wins, and what is never told."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.runtime.errors import SettingsError
from headrace.runtime.settings import WorkerSettings, load_settings

MARK = "s3cr3t-value"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    path = Path("headrace.yaml")
    path.write_text(text, "utf-8")
    return path


def test_what_is_given_wins_over_the_environment_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("brokers: file:1\nprefix: file\npartitions: 2\n")
    monkeypatch.setenv("HEADRACE_BROKERS", "environment:1")
    monkeypatch.setenv("HEADRACE_PREFIX", "environment")

    settings = load_settings({"brokers": "given:1", "prefix": None})

    assert (settings.brokers, settings.prefix, settings.partitions) == ("given:1", "environment", 2)
    assert settings.commit_interval == timedelta(milliseconds=100)


def test_client_settings_are_merged_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write("client: {a.b: file, c.d: file, e.f: true, g.h: 5}\n")
    monkeypatch.setenv("HEADRACE_CLIENT_C_D", "environment")

    settings = load_settings({"client": {"i.j": "given"}})

    assert settings.client == {
        "a.b": "file",
        "c.d": "environment",
        "e.f": "true",
        "g.h": "5",
        "i.j": "given",
    }


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"processing": "at_least_once"}')
    monkeypatch.setenv("HEADRACE_CONFIG", str(path))

    assert load_settings({}).processing == "at_least_once"


@pytest.mark.parametrize("given", [False, True])
def test_client_settings_may_hold_environment_variables_and_secrets(
    monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    client = {"sasl.username": "u-${env.WHO}", "sasl.password": "${secret.PASS}"}
    monkeypatch.setenv("WHO", "me")
    monkeypatch.setenv("HEADRACE_SECRET_PASS", MARK)
    if not given:
        write("client: {sasl.username: 'u-${env.WHO}', sasl.password: '${secret.PASS}'}\n")

    settings = load_settings({"client": client} if given else {})

    assert settings.client == {"sasl.username": "u-me", "sasl.password": MARK}
    assert MARK not in repr(settings) + str(settings)


def failure(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    return str(caught.value)


def test_unknown_keys_are_told_with_where_they_came_from_and_what_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("brokrs: a\n")
    monkeypatch.setenv("HEADRACE_PREFX", "a")

    lines = failure(partitons=5).splitlines()

    assert sorted(lines) == [
        "HEADRACE_PREFX: unknown key 'prefx'; did you mean 'prefix'?",
        "given: unknown key 'partitons'; did you mean 'partitions'?",
        "headrace.yaml:1: unknown key 'brokrs'; did you mean 'brokers'?",
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"partitions": 0}, "given: 'partitions' must be at least 1"),
        ({"commit_interval": "5"}, "did you mean '5s'?"),
        ({"commit_interval": "0s"}, "'commit_interval'"),
        ({"prefix": "a b"}, "'prefix'"),
        ({"engine": "kafak"}, "did you mean 'kafka'?"),
        ({"brokers": ""}, "'brokers'"),
    ],
)
def test_values_out_of_bounds_are_told(given: dict[str, object], told: str) -> None:
    assert told in failure(**given)


@pytest.mark.parametrize(
    "text",
    [
        f"client: {{sasl.password: [{MARK}]}}\n",
        f"client: {{sasl.password: {{a: {MARK}}}}}\n",
        f"client: {MARK}\n",
        "client: {sasl.password: '${secret.NOWHERE}', x: 's3cr3t-value'}\n",
        f"client: {{sasl.password: {MARK}}}\nbrokrs: x\n",
        f"- {MARK}\n",
    ],
)
def test_errors_tell_the_key_and_never_the_value(text: str) -> None:
    write(text)

    told = failure()

    assert MARK not in told
    assert "headrace.yaml" in told


def test_a_value_that_is_not_there_is_told_with_its_key() -> None:
    write("client: {sasl.password: '${env.NOWHERE}'}\n")

    assert failure() == (
        "headrace.yaml: client.sasl.password: env.NOWHERE: the environment variable NOWHERE is not set"
    )


def test_a_given_client_value_of_another_type_is_not_told() -> None:
    assert MARK not in failure(client={"sasl.password": [MARK]})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: no such file or directory"):
        load_settings({}, tmp_path / "none.yaml")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        WorkerSettings().brokers = "x"  # type: ignore[misc] # the mistake that is refused
