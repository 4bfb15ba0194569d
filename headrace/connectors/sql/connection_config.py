"""How to reach a database: what `sql` and `hydrate` over SQL have in common."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field

from headrace.connectors.connection import settings_of, text_setting
from headrace.connectors.sql.database import Database
from headrace.connectors.sql.pool import Pool
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression import Template

Decimals = Literal["string", "number"]
_SCHEMES: Final = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}


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


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is, and who we are there."""

    kind: str
    host: str
    port: int | None
    name: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, settings: Mapping[str, Any]) -> "DatabaseAddress":
        """Read a URL; `user` and `password` of the settings win over its own.

        Raises:
            SettingsError: it is no URL of a database that is known. Never quotes it, since it may hold a password.
        """
        parts = urlsplit(text)
        kind = _SCHEMES.get(parts.scheme)
        if kind is None:
            raise SettingsError(
                "database: must be a URL that begins with postgresql://, mysql://, mariadb:// or sqlite:///"
            )
        try:
            port = parts.port
        except ValueError:
            raise SettingsError(
                "database: the port of the URL is no number up to 65535; a password with '/', '?', '#' or '@' in it belongs into"
                " `password`, or must be percent-encoded"
            ) from None
        name = unquote(parts.path[1:])
        if not name:
            raise SettingsError("database: the URL names no database; it ends in /name")
        user = settings.get("user") or (unquote(parts.username) if parts.username else None)
        password = settings.get("password")
        if password is None and parts.password:
            password = unquote(parts.password)
        return cls(
            kind=kind,
            host=parts.hostname or ("" if kind == "sqlite" else "localhost"),
            port=port,
            name=name,
            user=str(user) if user is not None else None,
            password=str(password) if password is not None else None,
            options=dict(parse_qsl(parts.query)),
        )

    @property
    def shown(self) -> str:
        """For messages: without user and password."""
        if self.kind == "sqlite":
            return f"sqlite '{self.name}'"
        port = f":{self.port}" if self.port else ""
        return f"database '{self.name}' on {self.host}{port}"


@dataclass(frozen=True)
class ConnectionPlace:
    """All that a driver needs to connect."""

    address: DatabaseAddress
    tls: Mapping[str, str]
    tls_mode: str | None
    connect_timeout_s: float
    decimal: Decimals
