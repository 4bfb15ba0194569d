"""The values of a `cdc` stage's templates, by their places in the config."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.connectors.cdc.connection_settings import Address, address
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.expression import Template


def templates_of(config: ActionConfig) -> dict[str, Template]:
    """Every template of a config by its dotted name: what `Feed.settings` is asked for."""
    found: dict[str, Template] = {}
    for name in type(config).model_fields:
        found.update(_templates(name, getattr(config, name)))
    return found


def _templates(name: str, value: object) -> Iterator[tuple[str, Template]]:
    if isinstance(value, Template):
        yield name, value
    elif isinstance(value, ActionConfig):
        for inner, template in templates_of(value).items():
            yield f"{name}.{inner}", template
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _templates(f"{name}.{key}", item)


def under(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The settings of one mapping of the config, by the keys that it has there."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in settings.items() if name.startswith(start)}


def address_of(settings: Mapping[str, Any]) -> Address | None:
    """Where the database is; None where only the connector's own properties tell.

    Raises:
        SettingsError: it cannot be read.
    """
    if settings.get("url") is None and settings.get("host") is None:
        return None
    return address(settings)
