"""Bodies: which content types are taken, and what an expression and the topic get of them."""

from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import orjson

from headrace.connectors.webhook.answers import RefusedError
from headrace.connectors.webhook.request import RequestHeaders

BodyFormat = Literal["json", "form", "text", "bytes"]
FORM_FIELDS_MAX: Final = 1_000
TAKEN_MAX: Final = 64

_TYPES: Final = {
    "json": ("application/json", "text/json", "*+json"),
    "form": ("application/x-www-form-urlencoded",),
    "text": ("text/*",),
    "bytes": ("*/*",),
}
_UTF8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})


class ContentTypes:
    """The content types that a webhook takes. A request that names none is taken for what is expected."""

    def __init__(self, format_: BodyFormat, given: tuple[str, ...]) -> None:
        self._patterns = tuple(one.lower() for one in given) or _TYPES[format_]
        self._is_text = format_ in ("json", "form", "text")
        self._taken: set[str] = set()  # as they were written by senders, so as not to look twice

    def check(self, headers: RequestHeaders) -> None:
        """Refuse what is not taken.

        Raises:
            RefusedError: 415, with what is.
        """
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "bodies are taken as they are, without a content-encoding",
                headers={"accept-encoding": "identity"},
            )
        told = headers.get("content-type", "")
        if told:
            self.check_type(told)

    def check_type(self, content_type: str) -> None:
        """Refuse a content type.

        Raises:
            RefusedError: 415, with what is taken.
        """
        if content_type in self._taken:
            return
        name, parameters = split_type(content_type)
        if not any(_fits(name, pattern) for pattern in self._patterns):
            accepted = ", ".join(self._patterns)
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the content type must be {accepted}",
                headers={"accept": accepted},
            )
        if self._is_text and parameters.get("charset", "").lower() not in _UTF8:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the charset must be utf-8")
        if len(self._taken) < TAKEN_MAX:
            self._taken.add(content_type)


def split_type(content_type: str) -> tuple[str, dict[str, str]]:
    """A content type and its parameters, in lower case but for their values."""
    name, _, rest = content_type.partition(";")
    parameters: dict[str, str] = {}
    for part in rest.split(";"):
        key, equals, value = part.partition("=")
        if equals:
            parameters[key.strip().lower()] = value.strip().strip('"')
    return name.strip().lower(), parameters


def _fits(name: str, pattern: str) -> bool:
    if pattern == "*/*":
        return True
    if pattern.startswith("*+"):
        return name.endswith(pattern[1:])
    if pattern.endswith("/*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def read_body(format_: BodyFormat, body: bytes) -> tuple[Any, bytes]:
    """The event that expressions see, and the value of the record: the body byte for byte, but for forms.

    Raises:
        RefusedError: 422, the body is not what the format says.
    """
    if format_ == "bytes":
        return body, body
    if format_ == "json":
        return read_json(body), body
    text = read_text(body)
    if format_ == "text":
        return text, body
    fields = _form(text)
    return fields, orjson.dumps(fields)


def read_json(body: bytes) -> Any:
    """A JSON document.

    Raises:
        RefusedError: 422, it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The decoder's text may quote the document; the place is enough.
        raise unprocessable(
            f"the body is not JSON: line {error.lineno} column {error.colno}"
        ) from None


def read_text(body: bytes) -> str:
    """Text.

    Raises:
        RefusedError: 422, it is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise unprocessable(f"byte {error.start} of the body is not UTF-8") from None


def _form(text: str) -> dict[str, str | list[str]]:
    """The fields of a form; one that comes several times is a list."""
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except UnicodeDecodeError:
        raise unprocessable("the form is not UTF-8") from None
    except ValueError:
        raise unprocessable(
            f"the body is not a form of name=value, joined by '&', with at most {FORM_FIELDS_MAX} fields"
        ) from None
    fields: dict[str, str | list[str]] = {}
    for name, value in pairs:
        earlier = fields.get(name)
        if earlier is None:
            fields[name] = value
        elif isinstance(earlier, list):
            earlier.append(value)
        else:
            fields[name] = [earlier, value]
    return fields


def unprocessable(detail: str) -> RefusedError:
    """The refusal of a body that was read and makes no sense."""
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
