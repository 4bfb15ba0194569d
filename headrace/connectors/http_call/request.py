"""What a request is made of: the fields that `http` and `hydrate` over HTTP share, and their values for one record."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson
from pydantic import Field

from headrace.connectors.http_call.connection_config import HttpConnectionConfig
from headrace.connectors.url_template import UrlTemplate
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import Template
from headrace.runtime.expression.errors import described
from headrace.runtime.task.records import encode_key

Content = Literal["json", "form", "text"]
CONTENT_TYPES: Final = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


class RequestConfig(HttpConnectionConfig):
    """A request, as a template over an event."""

    url: Template = Field(
        description="the address; values of `${...}` in it are percent-encoded, but for one at its very beginning"
    )
    query: Template | None = Field(
        None,
        description="a map of parameters to add; null leaves one out, a list repeats it",
    )
    headers: Template | None = Field(
        None, description="a map of headers to add; null leaves one out"
    )

    def request_problems(self) -> Iterable[str]:
        """What is wrong with these fields beyond their types."""
        yield from self.connection_problems()
        if not isinstance(self.url.value, str):
            yield "url: must be text"
            return
        address = UrlTemplate(self.url.value)
        if self.url.is_constant:
            try:
                address.of({})
            except RecordError as error:
                yield str(error)
        elif not address.is_host_fixed and not self.hosts:
            yield (
                "hosts: the record decides which host is called; name those that may be, such as"
                " `hosts: ['*.example.com']`"
            )
        for name in ("query", "headers"):
            template = getattr(self, name)
            if template is not None and not _may_be_map(template):
                yield f"{name}: must be a map of names to values"

    def request_arguments(self) -> dict[str, Template]:
        """What must be computed of a record."""
        named = {"query": self.query, "headers": self.headers}
        return {
            **UrlTemplate(str(self.url.value)).arguments(),
            **{name: part for name, part in named.items() if part is not None},
        }


def _may_be_map(template: Template) -> bool:
    value = template.value
    return isinstance(value, dict) or (isinstance(value, str) and not template.is_constant)


def url_of(url: UrlTemplate, arguments: Mapping[str, Any]) -> str:
    """The URL of a record, with its query.

    Raises:
        RecordError: it cannot be made of the record.
    """
    return with_query(url.of(arguments), arguments.get("query"))


def with_query(url: str, query: Any) -> str:
    """The URL with parameters added, which replace those of the same name.

    Raises:
        RecordError: `query` is no map of parameters.
    """
    if query is None:
        return url
    if not isinstance(query, dict):
        raise RecordError(f"query: must be a map of parameters, found {described(query)}")
    pairs = [
        (name, _plain("query", one))
        for name, value in query.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]
    parts = urlsplit(url)
    kept = [
        pair
        for pair in parts.query.split("&")
        if pair and pair.partition("=")[0] not in {urlencode({name: ""})[:-1] for name in query}
    ]
    text = "&".join([*kept, *([urlencode(pairs)] if pairs else [])])
    return urlunsplit(parts._replace(query=text))


def headers_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a record.

    Raises:
        RecordError: they are no map, or a value cannot stand in a header.
    """
    found = arguments.get("headers")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RecordError(f"headers: must be a map of headers, found {described(found)}")
    headers = {}
    for name, value in found.items():
        if value is None:
            continue
        text = _plain("headers", value)
        if not _is_token(name) or any(c in text for c in "\r\n\0"):
            raise RecordError("headers: a line break or another sign that no header can hold")
        headers[name] = text
    return headers


def encoded(body: Any, content: Content) -> bytes:
    """A body as it is sent.

    Raises:
        RecordError: it cannot be written so.
    """
    if content == "form":
        if not isinstance(body, dict):
            raise RecordError(f"body: a form is made of a map, found {described(body)}")
        pairs = [
            (name, _plain("body", one))
            for name, value in body.items()
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]
        return urlencode(pairs).encode()
    if content == "text" or isinstance(body, bytes):
        made = encode_key(body)
        return made if isinstance(made, bytes) else (made or "").encode()
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise RecordError(f"body: cannot be written as JSON: {error}") from None


def _plain(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise RecordError(f"{field}: values are text, numbers or booleans, found {described(value)}")


def _is_token(name: str) -> bool:
    return bool(name) and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
