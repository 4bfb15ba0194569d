"""Sends requests. One client has one pool of connections and belongs to one event loop."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from headrace.connectors.connection import text_setting
from headrace.connectors.http_call.answer import Answer
from headrace.connectors.http_call.connection_config import HttpConnectionConfig
from headrace.connectors.url_template import check_url, is_allowed, origin_of
from headrace.runtime.contracts.call import CallFailedError
from headrace.runtime.errors import RecordError, SettingsError

if TYPE_CHECKING:
    import aiohttp

USER_AGENT: Final = "headrace"
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 65_536
_SENT_AS_IS: Final = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `headers` are without those of `auth`, which the client adds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


class HttpClient:
    """Sends requests by the settings of `config`; `settings` has the values of `config.connection_settings()`.

    Raises:
        SettingsError: the extra is missing, or a setting is wrong.
    """

    def __init__(self, config: HttpConnectionConfig, settings: Mapping[str, Any]) -> None:
        try:
            import aiohttp  # asked for early, so that a flow without it ends before its first record
        except ImportError:
            raise SettingsError(
                "requests over HTTP need the extra 'http-client': pip install 'headrace[http-client]'"
            ) from None
        self._config = config
        self._auth = _auth_headers(config, settings)
        self._tls = _tls_context(config, settings)
        proxy = settings.get("proxy")
        self._proxy = text_setting("proxy", proxy) if proxy is not None else None
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        """Send a request and read the answer, whatever its status, to its end.

        Raises:
            CallFailedError: there was no answer, it is too large, or it sends us somewhere we do not go.
        """
        answer = await self._send(request)
        followed = 0
        while (
            answer.status in _FOLLOWED and "location" in answer.headers and self._config.redirects
        ):
            followed += 1
            if followed > self._config.redirects:
                raise CallFailedError(
                    f"{origin_of(request.url)} redirects more than {self._config.redirects} times; see 'redirects'",
                    status=answer.status,
                )
            request = self._redirected(request, answer)
            answer = await self._send(request)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, request: Request) -> Answer:
        import aiohttp
        from yarl import URL

        if self._config.hosts and not is_allowed(request.url, self._config.hosts):
            raise CallFailedError(f"{origin_of(request.url)} is not among 'hosts'")
        if self._session is None:
            self._session = self._opened()
        where = f"{request.method} {origin_of(request.url)}"
        try:
            url = URL(request.url, encoded=request.url.isascii())
            async with self._session.request(
                request.method,
                url,
                headers={**self._auth, **request.headers},
                data=request.body,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                body = await self._read(response, where)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _no_answer(where, error) from error
        except ValueError as error:
            raise CallFailedError(
                f"{where} cannot be sent: the URL or a header is malformed"
            ) from error
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Answer(response.status, headers, body, request.url)

    async def _read(self, response: "aiohttp.ClientResponse", where: str) -> bytes:
        """The body, which may be much larger than its content length where it is compressed."""
        limit = self._config.answer_limit
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > limit:
                response.close()
                raise CallFailedError(
                    f"{where}: the answer has more than {limit} bytes; see 'answer_limit'",
                    status=response.status,
                )
        return bytes(body)

    def _redirected(self, request: Request, answer: Answer) -> Request:
        url = urljoin(request.url, answer.headers["location"])
        try:
            check_url(url)
        except RecordError:
            raise CallFailedError(
                f"{origin_of(request.url)} redirects to what is no URL", status=answer.status
            ) from None
        if origin_of(url) != origin_of(request.url):
            raise CallFailedError(
                f"{origin_of(request.url)} redirects to {origin_of(url)}, which would get what is meant for the former;"
                " name the right host in 'url'",
                status=answer.status,
            )
        if answer.status in _SENT_AS_IS or request.method in ("GET", "HEAD"):
            return replace(request, url=url)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() != "content-type"
        }
        return Request("GET", url, headers)

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        config = self._config
        connector = aiohttp.TCPConnector(
            limit=config.connections, limit_per_host=config.connections, ssl=self._tls
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=config.connect_timeout.total_seconds(),
                sock_read=config.idle_timeout.total_seconds(),
            ),
        )


def _no_answer(where: str, error: Exception) -> CallFailedError:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        reason = getattr(error, "certificate_error", error)
        detail = getattr(reason, "verify_message", "") or "it is not trusted"
        return CallFailedError(f"{where}: the certificate is refused: {detail}; see 'tls.ca'")
    if isinstance(error, aiohttp.InvalidURL):
        return CallFailedError(f"{where} cannot be sent: the URL is malformed")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        reason = "nothing came within 'connect_timeout' or 'idle_timeout'"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        reason = "the host's name cannot be resolved"
    elif isinstance(error, aiohttp.ClientSSLError):
        reason = "the encrypted connection failed"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
    else:
        reason = f"the connection broke ({type(error).__name__})"
    return CallFailedError(f"{where}: {reason}", is_temporary=True)


def _auth_headers(config: HttpConnectionConfig, settings: Mapping[str, Any]) -> dict[str, str]:
    auth = config.auth
    if auth is None:
        return {}
    if auth.bearer is not None:
        headers = {
            "Authorization": f"Bearer {text_setting('auth.bearer', settings['auth.bearer'])}"
        }
    elif auth.basic is not None:
        user = str(settings["auth.basic.user"])
        pair = f"{user}:{settings['auth.basic.password']}"
        headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    else:
        assert auth.header is not None
        value = text_setting("auth.header.value", settings["auth.header.value"])
        headers = {auth.header.name: value}
    if any(character in value for value in headers.values() for character in "\r\n\0"):
        raise SettingsError("auth: a secret with a line break cannot be sent in a header")
    return headers


def _tls_context(
    config: HttpConnectionConfig, settings: Mapping[str, Any]
) -> ssl.SSLContext | bool:
    tls = config.tls
    if tls is None:
        return True
    paths = {name: settings.get(f"tls.{name}") for name in ("ca", "certificate", "key", "password")}
    try:
        context = ssl.create_default_context(cafile=paths["ca"])
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls.ca: the file cannot be read as PEM: {_reason(error)}") from error
    if paths["certificate"] is not None:
        try:
            password = paths["password"]
            context.load_cert_chain(
                paths["certificate"], paths["key"], password if password is not None else lambda: ""
            )
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"tls.certificate: it and its key cannot be read as PEM: {_reason(error)}"
            ) from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
