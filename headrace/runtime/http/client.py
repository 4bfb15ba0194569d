"""Asks a worker over HTTP. Needs nothing that the extra `http` brings. Every call waits."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from headrace.runtime.address import Address
from headrace.runtime.errors import RetriableError

ASK_S = 10.0
ANSWER_BYTES_MAX = 64_000_000


@dataclass(frozen=True)
class Answer:
    """What a worker answered."""

    status: int
    body: bytes
    media_type: str
    retry_after: str | None = None

    @property
    def is_found(self) -> bool:
        return self.status == HTTPStatus.OK


def ask(
    address: Address, target: str, *, token: str | None, headers: Mapping[str, str] | None = None
) -> Answer:
    """What a worker answers to a path with its query, both written as in a URL.

    Raises:
        RetriableError: it does not answer, or more than can be taken in.
    """
    sent = dict(headers or {})
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(address.host, address.port, timeout=ASK_S)
    try:
        connection.request("GET", target, headers=sent)
        response = connection.getresponse()
        body = response.read(ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "strerror", None) or type(error).__name__).lower()
        raise RetriableError(f"{address} does not answer: {reason}") from error
    finally:
        connection.close()
    if len(body) > ANSWER_BYTES_MAX:
        raise RetriableError(f"the answer of {address} is too large; ask for less")
    media_type = response.headers.get("content-type", "application/json")
    return Answer(response.status, body, media_type, response.headers.get("retry-after"))
