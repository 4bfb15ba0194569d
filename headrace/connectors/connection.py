"""What settings of connections have in common: templates that mention the environment and secrets, and no record."""

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.errors import SettingsError
from headrace.runtime.expression import Template
from headrace.runtime.graph.config_paths import parts_of


def settings_of(config: ActionConfig | Template | None, prefix: str) -> dict[str, Template]:
    """Every template in a part of a config, by its dotted path, as `BatchAction.settings` wants them."""
    return {
        ".".join((prefix, *map(str, path))): part
        for path, part in parts_of(config)
        if isinstance(part, Template)
    }


def text_setting(name: str, value: object) -> str:
    """A setting that must be text.

    Raises:
        SettingsError: it is something else, or empty.
    """
    if not isinstance(value, str) or not value:
        kind = "empty text" if value == "" else type(value).__name__
        raise SettingsError(f"{name}: must be text, found {kind}")
    return value
