"""The only module that reads the process environment: values for expressions, and settings."""

import os
from collections.abc import Mapping
from pathlib import Path

from headrace.runtime.errors import SettingsError

SECRET_PREFIX = "HEADRACE_SECRET_"  # noqa: S105 # the prefix of variables, not a secret
SETTING_PREFIX = "HEADRACE_"
CLIENT_PREFIX = "HEADRACE_CLIENT_"
REGISTRY_PREFIX = "HEADRACE_SCHEMA_REGISTRY_"
SECRETS_DIR = "HEADRACE_SECRETS_DIR"
DEFAULT_SECRETS_DIR = "/run/secrets"


class Values:
    """What `env.NAME` and `secret.NAME` stand for.

    A secret comes from the variable `HEADRACE_SECRET_<NAME>`, or from a file of that name in the folder
    `HEADRACE_SECRETS_DIR` (default `/run/secrets`), without the newline at its end. Each is read when it is first asked
    for and then kept; `secret_values` are those read so far, so that messages can leave them out.
    """

    def __init__(
        self, env: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None
    ) -> None:
        self._env = os.environ if env is None else env
        self._given = secrets
        self._known: dict[str, str] = {}
        self.secret_values: set[str] = set()

    def env(self, name: str) -> str:
        """The value of an environment variable.

        Raises:
            SettingsError: it is not set.
        """
        value = self._env.get(name)
        if value is None:
            raise SettingsError(f"env.{name}: the environment variable {name} is not set")
        return value

    def secret(self, name: str) -> str:
        """The value of a secret.

        Raises:
            SettingsError: it is nowhere to be found.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
            if self._known[name]:
                self.secret_values.add(self._known[name])
        return self._known[name]

    def _find(self, name: str) -> str:
        if self._given is not None:
            if name in self._given:
                return self._given[name]
            raise SettingsError(f"secret.{name}: there is no secret of this name among those given")
        variable = SECRET_PREFIX + name.upper().replace("-", "_")
        if variable in self._env:
            return self._env[variable]
        folder = Path(self._env.get(SECRETS_DIR, DEFAULT_SECRETS_DIR))
        try:
            return (folder / name).read_text("utf-8").removesuffix("\n")
        except (OSError, ValueError):
            raise SettingsError(
                f"secret.{name}: neither the variable {variable} nor the file {folder / name} is there"
            ) from None


def settings_of_environment(env: Mapping[str, str] | None = None) -> dict[str, object]:
    """Settings from `HEADRACE_*` variables.

    `HEADRACE_BROKERS` is `brokers`, `HEADRACE_CLIENT_SASL_PASSWORD` the client's `sasl.password`, and
    `HEADRACE_SCHEMA_REGISTRY_URL` the `url` of `schema_registry`.
    """
    env = os.environ if env is None else env
    client = {
        name.removeprefix(CLIENT_PREFIX).lower().replace("_", "."): value
        for name, value in env.items()
        if name.startswith(CLIENT_PREFIX)
    }
    registry = {
        name.removeprefix(REGISTRY_PREFIX).lower(): value
        for name, value in env.items()
        if name.startswith(REGISTRY_PREFIX)
    }
    others = (
        SECRET_PREFIX,
        CLIENT_PREFIX,
        REGISTRY_PREFIX,
        SECRETS_DIR,
        "HEADRACE_TEST_",
        "HEADRACE_CONFIG",
    )
    found: dict[str, object] = {
        name.removeprefix(SETTING_PREFIX).lower(): value
        for name, value in env.items()
        if name.startswith(SETTING_PREFIX) and not name.startswith(others)
    }
    if client:
        found["client"] = client
    if registry:
        found["schema_registry"] = registry
    return found


def variable_of(setting: str) -> str:
    """The variable that sets a setting."""
    return SETTING_PREFIX + setting.upper()


def config_path(env: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file: `HEADRACE_CONFIG`, or `headrace.yaml` in the current folder when it is there."""
    env = os.environ if env is None else env
    if named := env.get("HEADRACE_CONFIG"):
        return Path(named)
    here = Path("headrace.yaml")
    return here if here.is_file() else None


def state_home(env: Mapping[str, str] | None = None) -> Path:
    """Where state is kept by default: `$XDG_STATE_HOME/headrace`, or `~/.local/state/headrace`."""
    env = os.environ if env is None else env
    root = env.get("XDG_STATE_HOME")
    return Path(root) / "headrace" if root else Path.home() / ".local" / "state" / "headrace"
