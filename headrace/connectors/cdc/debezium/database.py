"""The database of a connector as the native engine would enter it, so that its eyes and hands can be borrowed.

What counts is what the connector is told, since 'properties' may have the last word on the slot, the publication and the address.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.debezium.properties import (
    PUBLICATIONS,
    connector_properties,
    kind_of_class,
)
from headrace.runtime.contracts.feed import FeedPlace

_PARTS: Final = {
    "host": "database.hostname",
    "port": "database.port",
    "user": "database.user",
    "password": "database.password",
    "dbname": "database.dbname",
}
_OPTIONS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""Options that the drivers of Java and of Python read alike."""


@dataclass(frozen=True)
class Borrowed:
    """A config and a place for the native engine's code. `place` holds secrets."""

    config: CdcConfig
    place: FeedPlace

    @property
    def slot(self) -> str:
        """PostgreSQL's; empty for other databases."""
        return self.config.slot or ""

    @property
    def publication(self) -> str:
        """PostgreSQL's; empty for other databases."""
        return self.config.publication or ""


def borrowed(config: CdcConfig, prefix: str, place: FeedPlace) -> Borrowed | None:
    """The database of the stage's connector; None where headrace itself cannot enter it.

    Raises:
        SettingsError: the properties are wrong.
    """
    kind = kind_of_class(config)
    if not kind:
        return None
    properties = connector_properties(config, prefix, place.name, place.settings)
    update: dict[str, object] = {"engine": "native", "database": kind}
    if kind == "postgresql":
        modes = {mode: ours for ours, mode in PUBLICATIONS.items()}
        update["slot"] = properties["slot.name"]
        update["publication"] = properties["publication.name"]
        update["publication_mode"] = modes.get(
            properties["publication.autocreate.mode"], "filtered"
        )
    return Borrowed(
        config.model_copy(update=update), replace(place, settings=_settings(properties))
    )


def _settings(properties: Mapping[str, str]) -> dict[str, str]:
    found = {part: properties[name] for part, name in _PARTS.items() if name in properties}
    for option in _OPTIONS:
        value = properties.get(f"database.{option}", properties.get(f"driver.{option}"))
        if value is not None:
            found[f"options.{option}"] = value
    return found
