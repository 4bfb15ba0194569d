"""Errors as answers: problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.responses import Response

from headrace.runtime.http.client import Answer

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request cannot be answered. `detail` is for whoever asked; it holds no secret.

    Args:
        retry_after_s: when it may be worth asking again.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s

    def response(self) -> Response:
        """The answer that tells of it."""
        headers: dict[str, str] = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = 'Bearer realm="headrace"'
        return problem(self.status, self.detail, headers)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with problem details."""
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)


def passed_on(answer: Answer) -> Response:
    """What another worker answered, as our answer."""
    headers = {} if answer.retry_after is None else {"retry-after": answer.retry_after}
    return Response(answer.body, answer.status, headers, answer.media_type)
