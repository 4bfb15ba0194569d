"""What stands in front of all answers: who may ask, how much, and for how long."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.runtime.address import is_loopback
from headrace.runtime.http.problems import ProblemError

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 1_000_000
REQUESTS_MAX = 64
REQUEST_S = 20.0
OPEN_PATHS = ("/health", "/health/live", "/health/ready")
"""What probes ask without a token; it tells nothing but yes or no."""


class Guard:
    """Refuses requests without the token, too large ones, and too many at once; ends those that take too long.

    Without a token only this machine can ask. So that a web page in somebody's browser cannot do so under a name of its
    own for this machine, the request must then name a loopback address as its host.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, request_s: float = REQUEST_S) -> None:
        self._app = app
        self._digest = None if token is None else _digest(token)
        self._request_s = request_s
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        is_open = scope["path"] in OPEN_PATHS
        sent = _Sent(send)
        try:
            if not is_open:
                self._check(headers)
            if self._requests >= REQUESTS_MAX and not is_open:
                raise ProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{REQUESTS_MAX} requests are being answered already",
                    retry_after_s=1,
                )
            self._requests += 1
            try:
                async with asyncio.timeout(self._request_s):
                    await self._app(scope, _bounded(headers, receive), sent)
            finally:
                self._requests -= 1
        except ProblemError as error:
            await sent.instead(error, scope, receive)
        except TimeoutError:
            late = f"there was no answer within {self._request_s:g} s"
            await sent.instead(ProblemError(HTTPStatus.GATEWAY_TIMEOUT, late), scope, receive)
        except (
            Exception
        ):  # whatever it is, it must not end the server, and who asked is told no more
            logger.exception("a request was not answered")
            failed = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "the worker's log says why")
            await sent.instead(failed, scope, receive)

    def _check(self, headers: Headers) -> None:
        if self._digest is None:
            if not is_loopback(_host(headers.get("host", ""))):
                raise ProblemError(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    "without a token this worker is asked as localhost or 127.0.0.1 only",
                )
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(_digest(given.strip()), self._digest)
        if scheme.lower() != "bearer" or not is_right:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "show the worker's http_token as `Authorization: Bearer <token>`",
            )


class _Sent:
    """Passes an answer on, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        self._has_begun = True
        await self._send(message)

    async def instead(self, error: ProblemError, scope: Scope, receive: Receive) -> None:
        """Tell of an error, where nothing was told yet."""
        if not self._has_begun:
            await error.response()(scope, receive, self._send)


def _bounded(headers: Headers, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """The request's body, which fails when it is too large."""
    told = headers.get("content-length", "0")
    if not told.isdecimal() or int(told) > BODY_BYTES_MAX:
        raise _too_large()
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES_MAX:
            raise _too_large()
        return message

    return bounded


def _too_large() -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {BODY_BYTES_MAX:,} bytes"
    )


def _digest(token: str) -> bytes:
    # Of equal lengths, so that comparing them takes the same time whatever was given.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _host(text: str) -> str:
    """The host of a Host header, without its port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text
