"""What a request is answered with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP. `headers` has lower-case names; the length and the type of the body are added when it is sent."""

    status: int
    body: bytes = b""
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI wants them."""
        raw = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in self.headers.items()
        ]
        raw.append((b"content-length", b"%d" % len(self.body)))
        if self.body:
            raw.append((b"content-type", self.media_type.encode("latin-1")))
        return raw


def json_answer(status: int, document: Any) -> Answer:
    """An answer with a JSON document."""
    return Answer(status, orjson.dumps(document))


class RefusedError(Exception):
    """A request is not taken; becomes problem details (RFC 9457).

    Args:
        detail: for whoever sent the request; holds no secret.
        retry_after_s: when it may be worth sending it again.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["retry-after"] = str(max(1, -int(-retry_after_s // 1)))

    def answer(self) -> Answer:
        """The answer that tells of it."""
        document = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        return Answer(self.status, orjson.dumps(document), PROBLEM, self.headers)
