"""Which feed carries a config out, and which source of changes the native one has.

Modules are named as text and imported when they are needed: a config loads without the packages that its engine needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headrace.connectors.cdc.config import CdcConfig
from headrace.runtime.contracts.feed import Feed
from headrace.runtime.errors import SettingsError

if TYPE_CHECKING:
    from headrace.connectors.cdc.source import ChangeSource, SourcePlace

FEEDS = {
    "native": "headrace.connectors.cdc.feed:NativeFeed",
    "connect": "headrace.connectors.cdc.connect:ConnectFeed",
    "debezium": "headrace.connectors.cdc.debezium.feed:DebeziumFeed",
}
"""Called with (config, topic prefix)."""

SOURCES = {
    "postgresql": "headrace.connectors.cdc.postgres:PostgresSource",
    "mysql": "headrace.connectors.cdc.mysql:MysqlSource",
    "mariadb": "headrace.connectors.cdc.mysql:MysqlSource",
}
"""Called with a `SourcePlace`."""


def feed_of(config: CdcConfig, prefix: str) -> Feed:
    """The feed of a config whose topics begin with `prefix`."""
    feed: Feed = _load(FEEDS[config.engine])(config, prefix)
    return feed


def source_of(place: "SourcePlace") -> "ChangeSource":
    """The source of changes of the native engine.

    Raises:
        SettingsError: the package that reads this database is not installed.
    """
    kind = place.config.kind
    if kind is None:
        raise SettingsError("engine native needs 'database': postgresql, mysql or mariadb")
    source: ChangeSource = _load(SOURCES[kind])(place)
    return source


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
