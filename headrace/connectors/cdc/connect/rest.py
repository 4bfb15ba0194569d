"""Requests to Kafka Connect's REST API. Every call waits."""

import base64
import http.client
import json
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from headrace.connectors.cdc.debezium.redaction import Redaction
from headrace.runtime.errors import HeadraceError, RetriableError, SettingsError

ANSWER_S: Final = 30.0
"""Validation has the connector ask the database, so answers may take their time."""
ANSWER_BYTES_MAX: Final = 16_000_000
PORT: Final = 8083
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class NotThereError(HeadraceError):
    """What was asked for does not exist in Kafka Connect."""


@dataclass(frozen=True)
class ConnectClient:
    """The REST API at one address. Holds no connection: a request in every few seconds is not worth one.

    `url` may hold user info, which is what `user` and `password` stand for as well; messages have neither.
    """

    url: str = field(repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    redaction: Redaction = field(default_factory=lambda: Redaction(()), repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError("connect.url: must be a URL such as http://connect:8083")

    @property
    def place(self) -> str:
        """The address as messages have it."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or PORT}"

    def get(self, *path: str) -> Any:
        return self.ask("GET", *path)

    def ask(self, method: str, *path: str, body: Any = None, query: str = "") -> Any:
        """The JSON that is answered; None where an answer has no content.

        Raises:
            NotThereError: there is no such thing.
            SettingsError: the request was understood and refused.
            RetriableError: no answer, or the cluster is busy with itself.
        """
        target = "/".join(("", *(quote(part, safe="") for part in path))) + query
        status, content = self._exchange(method, target, body)
        if 200 <= status < 300:
            return self._read(content)
        reason = self.redaction(self._reason(status, content))
        if status == HTTPStatus.NOT_FOUND:
            raise NotThereError(f"Kafka Connect at {self.place}: {reason}")
        if status in _REFUSED:
            raise SettingsError(
                f"Kafka Connect at {self.place} refuses this user (status {status}); see connect.user and connect.password"
            )
        if status == HTTPStatus.CONFLICT or status >= 500:
            raise RetriableError(f"Kafka Connect at {self.place} cannot do it now: {reason}")
        raise SettingsError(f"Kafka Connect at {self.place} refuses: {reason}")

    def _exchange(self, method: str, target: str, body: Any) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        headers = {"accept": "application/json", **self._authorization()}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        port = parts.port or PORT
        connection = (
            http.client.HTTPSConnection(
                parts.hostname, port, timeout=ANSWER_S, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, port, timeout=ANSWER_S)
        )
        try:
            connection.request(method, parts.path.rstrip("/") + target, content, headers)
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "strerror", None) or type(error).__name__).lower()
            raise RetriableError(
                f"Kafka Connect at {self.place} does not answer: {reason}"
            ) from error
        finally:
            connection.close()
        if len(answer) > ANSWER_BYTES_MAX:
            raise RetriableError(f"the answer of Kafka Connect at {self.place} is too large")
        return response.status, answer

    def _authorization(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        user = self.user or unquote(parts.username or "")
        password = self.password or unquote(parts.password or "")
        if not user:
            return {}
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"authorization": f"Basic {pair}"}

    def _read(self, content: bytes) -> Any:
        if not content:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise SettingsError(
                f"{self.place} does not answer as Kafka Connect does; see connect.url"
            ) from error

    @staticmethod
    def _reason(status: int, content: bytes) -> str:
        try:
            message = json.loads(content)["message"]
        except (ValueError, KeyError, TypeError):
            return f"status {status}"
        return f"{' '.join(str(message).split())[:1000]} (status {status})"
