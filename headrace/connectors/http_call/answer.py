"""What came back over HTTP: which answers are failures, of what kind, and how a body is read."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import orjson

from headrace.connectors.url_template import origin_of
from headrace.runtime.contracts.call import CallFailedError

Decoding = Literal["auto", "json", "text", "base64"]

TEMPORARY: Final = frozenset({408, 425, 429})
"""Besides those from 500 on: too slow, too early, too many."""
_NOTED_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read to its end.

    Names of headers are in lower case; of several with one name the values are joined by commas.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def decoded(self, how: Decoding = "auto") -> Any:
        """The body as a value of JSON's types; None where there is none.

        Raises:
            CallFailedError: it is not what its content type, or the config, says.
        """
        if not self.body:
            return None
        kind, charset = _content_type(self.headers.get("content-type", ""))
        if how == "json" or (how == "auto" and _is_json(kind)):
            return self._json()
        if how == "text" or (how == "auto" and _is_text(kind)):
            try:
                return self.body.decode(charset)
            except (UnicodeDecodeError, LookupError):
                raise self._undecodable(f"text in {charset[:40]}") from None
        return base64.b64encode(self.body).decode()

    def _json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise self._undecodable("JSON") from None

    def _undecodable(self, what: str) -> CallFailedError:
        error = CallFailedError(
            f"the answer of {origin_of(self.url)} cannot be read as {what}: it has {len(self.body)} bytes; see 'decode'",
            status=self.status,
        )
        error.add_note(f"{error}; {self.excerpt()}")
        return error

    def excerpt(self) -> str:
        """The beginning of the body, for notes."""
        text = self.body[: _NOTED_CHARACTERS * 4].decode("utf-8", "replace")
        return f"the answer begins: {text[:_NOTED_CHARACTERS]}"


def failure_of(method: str, answer: Answer, now_ms: int) -> CallFailedError:
    """The failure that an answer tells of."""
    try:
        phrase = f" {HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = ""
    hint = _HINTS.get(answer.status, "")
    error = CallFailedError(
        f"{method} {origin_of(answer.url)} was answered with {answer.status}{phrase}{hint}",
        is_temporary=answer.status in TEMPORARY or answer.status >= 500,
        retry_after_s=retry_after_s(answer.headers.get("retry-after"), now_ms),
        status=answer.status,
    )
    error.add_note(f"{error}; {answer.excerpt()}")
    return error


_HINTS: Final = {
    **dict.fromkeys((301, 302, 303, 307, 308), "; see 'redirects'"),
    401: "; see 'auth'",
    407: "; see 'proxy'",
}


def is_success(status: int, accepted: Collection[str | int]) -> bool:
    """Whether a status is among `accepted`, which holds statuses and classes such as `2xx`."""
    return status in accepted or f"{status // 100}xx" in accepted


def retry_after_s(value: str | None, now_ms: int) -> float | None:
    """The header `Retry-After`: seconds, or the time until a date. None where it says nothing that can be read."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)


def _content_type(text: str) -> tuple[str, str]:
    message = Message()
    message["content-type"] = text
    charset = message.get_content_charset() or "utf-8"
    return (message.get_content_type() if text else ""), charset


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _is_text(kind: str) -> bool:
    return (
        kind.startswith("text/")
        or kind.endswith("+xml")
        or kind
        in (
            "application/xml",
            "application/javascript",
            "application/x-www-form-urlencoded",
            "application/x-ndjson",
        )
    )
