"""How to reach a database: what `sql` and `hydrate` over SQL have in common."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from headrace.connectors.connection import settings_of, text_setting
from headrace.connectors.sql.database import Database
from headrace.connectors.sql.place import ConnectionPlace, DatabaseAddress, Decimals
from headrace.connectors.sql.pool import Pool
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression import Template


class SqlTlsConfig(ActionConfig):
    """Trust and identity on encrypted connections. Files hold PEM."""

    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "verify-full", description="as PostgreSQL's sslmode, for MySQL likewise"
    )
    ca: Template | None = Field(None, description="file with the authorities to trust")
    certificate: Template | None = Field(None, description="file with our own certificate")
    key: Template | None = Field(None, description="file with its key")


class SqlConnectionConfig(ActionConfig):
    """Settings of the connections; they may mention `env` and `secret`, and no record."""

    database: Template = Field(
        description="URL: postgresql://user@host:5432/name, mysql://..., mariadb://..., or sqlite:///path; values of `${...}`"
        " in it are percent-encoded, but for one at its very beginning"
    )
    user: Template | None = Field(None, description="the user, where the URL has none")
    password: Template | None = Field(
        None, description="the password, such as ${secret.DATABASE_PASSWORD}"
    )
    tls: SqlTlsConfig | None = Field(
        None, description="of encrypted connections: mode, ca, certificate, key"
    )
    connections: int = Field(4, ge=1, le=100, description="connections at most")
    connect_timeout: Duration = Field(
        timedelta(seconds=10), description="how long connecting may take"
    )
    decimal: Decimals = Field(
        "string",
        description="how decimals of a result are written: exactly as text, or as JSON numbers",
    )

    def connection_settings(self) -> dict[str, Template]:
        """What a connection needs of the environment and of secrets."""
        return {
            **self._address().arguments("database"),
            **settings_of(self.user, "user"),
            **settings_of(self.password, "password"),
            **settings_of(self.tls, "tls"),
        }

    def connection_problems(self) -> Iterable[str]:
        """What is wrong with these settings beyond their types."""
        if not isinstance(self.database.value, str):
            yield "database: must be text"

    def _address(self) -> UrlTemplate:
        return UrlTemplate(self.database.value if isinstance(self.database.value, str) else "")

    def pool(self, settings: Mapping[str, Any], clock: Clock) -> Pool:
        """A pool of connections; none is made yet.

        Raises:
            SettingsError: a setting is wrong, or the driver is not installed.
        """
        return Pool(self.opened(settings), self.connections, clock)

    def opened(self, settings: Mapping[str, Any]) -> Database:
        """The database that `settings`, the values of `connection_settings`, name.

        Raises:
            SettingsError: a setting is wrong, or the driver is not installed.
        """
        try:
            url = self._address().filled(settings, "database")
        except RecordError as error:
            raise SettingsError(str(error)) from None
        address = DatabaseAddress.parse(url, settings)
        place = ConnectionPlace(
            address,
            tls={
                name: text_setting(f"tls.{name}", settings[f"tls.{name}"])
                for name in ("ca", "certificate", "key")
                if f"tls.{name}" in settings
            },
            tls_mode=self.tls.mode if self.tls else None,
            connect_timeout_s=self.connect_timeout.total_seconds(),
            decimal=self.decimal,
        )
        if address.kind == "postgres":
            from headrace.connectors.sql.postgres.database import Postgres

            return Postgres(place)
        if address.kind == "mysql":
            from headrace.connectors.sql.mysql.database import Mysql

            return Mysql(place)
        from headrace.connectors.sql.sqlite.database import Sqlite

        return Sqlite(place)
