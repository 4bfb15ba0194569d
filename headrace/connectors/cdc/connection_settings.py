"""Where a database is and how it is entered: a URL, or its parts."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression import Template

PARTS = ("url", "host", "port", "user", "password", "dbname")
OPTION = "options."
PROPERTY = "properties."


class Address(NamedTuple):
    """A database server and how to enter it. Its text is safe to show."""

    host: str
    port: int | None
    user: str | None
    password: str | None
    dbname: str | None
    options: Mapping[str, str]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{host}{port}/{self.dbname or ''}"

    def __repr__(self) -> str:
        return f"Address({self})"


def templates(config: CdcConfig) -> dict[str, Template]:
    """The templates of a connection, by the names that `address` looks for.

    The URL is passed as the document has it, and the values in it by themselves: a password may hold any sign.
    """
    found: dict[str, Template | None] = {name: getattr(config, name) for name in PARTS}
    if config.url is not None and isinstance(config.url.value, str):
        text = config.url.value
        found["url"] = Template.parse(text.replace("${", "$${"))
        found |= UrlTemplate(text).arguments("url")
    found |= {f"{OPTION}{name}": value for name, value in config.options.items()}
    found |= {f"{PROPERTY}{name}": value for name, value in config.properties.items()}
    return {name: template for name, template in found.items() if template is not None}


def address(settings: Mapping[str, Any]) -> Address:
    """The address in the values of `templates`.

    Raises:
        SettingsError: it has no host, or a port that is no number.
    """
    options = {
        name.removeprefix(OPTION): str(value)
        for name, value in settings.items()
        if name.startswith(OPTION)
    }
    if settings.get("url") is None:
        port = settings.get("port")
        parts = {name: _text(settings.get(name)) for name in ("host", "user", "password", "dbname")}
        return _checked(Address(parts.pop("host") or "", _port(port), **parts, options=options))
    url = urlsplit(_url(settings))
    try:
        host, port = url.hostname or "", url.port
    except ValueError:
        raise SettingsError("the port of the database's url is not a number up to 65535") from None
    return _checked(
        Address(
            host=unquote(host),
            port=port,
            user=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            dbname=unquote(url.path.lstrip("/")) or None,
            options={**dict(parse_qsl(url.query)), **options},
        )
    )


def _url(settings: Mapping[str, Any]) -> str:
    text = str(settings["url"])
    if not any(name.startswith("url_") for name in settings):
        return text
    try:
        return UrlTemplate(text).filled(settings, "url")
    except RecordError as error:
        raise SettingsError(str(error)) from None


def _checked(found: Address) -> Address:
    if not found.host and "host" not in found.options:
        raise SettingsError("the database needs a host, as in postgresql://user@db:5432/shop")
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _port(value: object) -> int | None:
    if value is None:
        return None
    if not str(value).isdecimal():
        raise SettingsError("the port of the database is not a number")
    return int(str(value))
