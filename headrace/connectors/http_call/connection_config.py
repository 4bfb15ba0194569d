"""How to reach the other side: what `http`, `hydrate` over HTTP and `notify` have in common."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from pydantic import Field

from headrace.connectors.connection import settings_of
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Template

ANSWER_BYTES = 1_048_576
ANSWER_BYTES_MAX = 268_435_456


class BasicConfig(ActionConfig):
    """User name and password, as in RFC 7617."""

    user: Template = Field(description="the user")
    password: Template = Field(description="the password, such as ${secret.PASSWORD}")


class HeaderConfig(ActionConfig):
    """An API key in a header of its own."""

    name: str = Field(description="the header's name, such as X-Api-Key", min_length=1)
    value: Template = Field(description="its value, such as ${secret.API_KEY}")


class AuthConfig(ActionConfig):
    """Who we are; exactly one of them."""

    bearer: Template | None = Field(None, description="a bearer token, such as ${secret.TOKEN}")
    basic: BasicConfig | None = Field(None, description="user and password")
    header: HeaderConfig | None = Field(None, description="an API key: name and value of a header")


class TlsConfig(ActionConfig):
    """Trust and identity on encrypted connections. Files hold PEM."""

    ca: Template | None = Field(
        None, description="file with the authorities to trust, in place of the system's"
    )
    certificate: Template | None = Field(None, description="file with our own certificate")
    key: Template | None = Field(
        None, description="file with its key, where the certificate's file does not hold it"
    )
    password: Template | None = Field(None, description="the password of the key's file")
    verify: bool = Field(
        True, description="check the other side's certificate; false trusts anybody in between"
    )


class HttpConnectionConfig(ActionConfig):
    """Settings of the connections; they may mention `env` and `secret`, and no record."""

    auth: AuthConfig | None = Field(
        None, description="one of bearer, basic: {user, password}, header: {name, value}"
    )
    tls: TlsConfig | None = Field(
        None, description="of encrypted connections: ca, certificate, key, password, verify"
    )
    proxy: Template | None = Field(None, description="URL of an HTTP proxy")
    hosts: list[str] = Field(
        default_factory=list,
        description="hosts that requests may go to, such as '*.example.com'; needed where the record decides the host",
    )
    redirects: int = Field(
        0, ge=0, le=20, description="how many redirects are followed; 0 fails on the first one"
    )
    connections: int = Field(
        20, ge=1, le=1000, description="connections, and requests under way, at most"
    )
    connect_timeout: Duration = Field(
        timedelta(seconds=10), description="how long connecting may take"
    )
    idle_timeout: Duration = Field(
        timedelta(seconds=60),
        description="how long the other side may be silent; see also the stage's `timeout`",
    )
    answer_limit: int = Field(
        ANSWER_BYTES, ge=0, le=ANSWER_BYTES_MAX, description="bytes of one answer at most"
    )

    def connection_settings(self) -> dict[str, Template]:
        """What the client needs of the environment and of secrets."""
        return {
            **settings_of(self.auth, "auth"),
            **settings_of(self.tls, "tls"),
            **settings_of(self.proxy, "proxy"),
        }

    def connection_problems(self) -> Iterable[str]:
        """What is wrong with these settings beyond their types."""
        yield from self._auth()
        tls = self.tls
        if tls is not None and tls.certificate is None and (tls.key or tls.password):
            yield "tls: 'key' and 'password' belong to a 'certificate', which is not set"

    def _auth(self) -> Iterator[str]:
        if self.auth is None:
            return
        named = [name for name in AuthConfig.model_fields if getattr(self.auth, name) is not None]
        if len(named) != 1:
            found = f"found {' and '.join(named)}" if named else "found none"
            yield f"auth: needs exactly one of bearer, basic, header; {found}"
