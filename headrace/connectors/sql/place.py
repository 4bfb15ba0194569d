"""Where a database is, and all that a driver needs to connect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.runtime.errors import SettingsError

Decimals = Literal["string", "number"]
_SCHEMES: Final = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}


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
