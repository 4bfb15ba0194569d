"""A request as ASGI brings it in: its headers, and its body within bounds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from headrace.connectors.webhook.answers import RefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RequestHeaders = Mapping[str, str]
"""Lower-case names; values as Latin-1, so that `encode("latin-1")` gives the bytes that were sent."""

_CLOSE = {"connection": "close"}  # what is left of the body is not read


class DisconnectedError(Exception):
    """Whoever sent the request has gone away before all of it was there; nobody waits for an answer."""


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request; several of one name are one, joined by commas (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def path_inside(scope: Scope) -> str:
    """What the path of a request has behind the place where the application is mounted."""
    path: str = scope["path"]
    place: str = scope.get("root_path", "")
    return path[len(place) :].strip("/") if path.startswith(place) else path


def address_of(scope: Scope, headers: RequestHeaders, proxies: int) -> str:
    """Where a request comes from.

    Each of `proxies` trusted proxies has added an address to `x-forwarded-for`; what stands before those was written by
    whoever sent the request and is not believed.
    """
    client = scope.get("client")
    peer = str(client[0]) if client else ""
    if not proxies:
        return peer
    told = [one.strip() for one in headers.get("x-forwarded-for", "").split(",") if one.strip()]
    return told[-proxies][:64] if len(told) >= proxies else peer


async def body_of(
    headers: RequestHeaders,
    receive: Receive,
    take: Callable[[int], None],
    *,
    bytes_max: int,
    timeout_s: float,
) -> bytes:
    """The whole body; `take` is told of the size of each part, and may refuse it.

    Raises:
        RefusedError: it is too large, by what was told or by what came, or it came too slowly.
        DisconnectedError: it will never be complete.
    """
    told = headers.get("content-length")
    if told is not None:
        if not (told.isascii() and told.isdecimal()):
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "content-length must be a number", headers=_CLOSE
            )
        # A number of thousands of digits takes long to read.
        if len(told) > 18 or int(told) > bytes_max:
            raise too_large(bytes_max)
        if told == "0":
            return b""
    try:
        async with asyncio.timeout(timeout_s):
            return await _parts(receive, take, bytes_max)
    except TimeoutError:
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come within {timeout_s:g} s",
            headers=_CLOSE,
        ) from None


async def _parts(receive: Receive, take: Callable[[int], None], bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size, is_more = 0, True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise too_large(bytes_max)
        take(len(part))
        parts.append(part)
        is_more = message.get("more_body", False)
    return b"".join(parts)


def too_large(bytes_max: int) -> RefusedError:
    """The refusal of a body that is larger than the limit."""
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"a body may have {bytes_max:,} bytes",
        headers=_CLOSE,
    )
