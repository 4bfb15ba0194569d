"""The config of `http`."""

from typing import Literal

from pydantic import Field

from headrace.connectors.http_call.answer import Decoding
from headrace.connectors.http_call.pages import PagesConfig
from headrace.connectors.http_call.request import Content, RequestConfig
from headrace.runtime.expression import Template

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Status = int | str


class HttpConfig(RequestConfig):
    """The request, and where the answer goes; without `into` and `merge` the event goes on as it is."""

    method: Method = Field("POST", description="GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
    body: Template | None = Field(
        None, description="what is sent; left out, POST, PUT and PATCH send the event"
    )
    content: Content = Field("json", description="how the body is written: json, form or text")
    idempotency_header: str | None = Field(
        "Idempotency-Key",
        description="the header with a key that is the same when the record comes again, but for GET and HEAD; null for none",
    )
    success: tuple[Status, ...] = Field(
        ("2xx",),
        description="statuses that are no failure, such as [2xx, 404]",
    )
    into: str | None = Field(
        None, description="the field that gets the answer's body", min_length=1
    )
    merge: bool = Field(
        False, description="merge the fields of the answer's body into the event; they win"
    )
    answer: Literal["body", "full"] = Field(
        "body", description="what `into` gets: the body, or a map of status, headers and body"
    )
    decode: Decoding = Field(
        "auto",
        description="how the answer's body is read: auto (by its content type), json, text or base64",
    )
    pages: PagesConfig | None = Field(
        None,
        description="collect the pages of a GET into one list: items, link, next, cursor, parameter, limit",
    )
