"""CloudEvents 1.0 over HTTP: one event in headers and body (binary), in a JSON document (structured), or a batch of these.

Every event becomes a record in the binary mode of CloudEvents' binding to Kafka: the data is the value, the attributes
are headers that begin with `ce_`.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import orjson

from headrace.connectors.webhook.answers import Answer, RefusedError
from headrace.connectors.webhook.content import (
    BodyFormat,
    ContentTypes,
    read_json,
    read_text,
    split_type,
    unprocessable,
)
from headrace.connectors.webhook.request import RequestHeaders
from headrace.runtime.contracts.broker import Headers

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
EVENTS_MAX: Final = 1_000
ATTRIBUTES_MAX: Final = 64
NEEDED: Final = ("id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,64}")


@dataclass(frozen=True)
class CloudEvent:
    """One event. `attributes` holds all but the data and its content type."""

    attributes: Mapping[str, str]
    content_type: str
    event: Any
    value: bytes

    @property
    def delivery(self) -> str:
        """Source and id together tell events apart."""
        return f"{self.attributes['source']} {self.attributes['id']}"

    def headers(self) -> Headers:
        """The record's headers."""
        found: Headers = [(f"ce_{name}", text.encode()) for name, text in self.attributes.items()]
        if self.content_type:
            found.append(("content-type", self.content_type.encode()))
        return found


def check_type(headers: RequestHeaders, types: ContentTypes) -> None:
    """Refuse a request that is no CloudEvent, before its body is read.

    Raises:
        RefusedError: 415.
    """
    told = headers.get("content-type", "")
    if split_type(told)[0] in (STRUCTURED, BATCH):
        types.check({name: headers[name] for name in headers if name == "content-encoding"})
    elif "ce-specversion" in headers:
        types.check(headers)
    else:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"a CloudEvent is {STRUCTURED}, {BATCH}, or has the header ce-specversion",
            headers={"accept": f"{STRUCTURED}, {BATCH}"},
        )


def events_of(
    headers: RequestHeaders, body: bytes, format_: BodyFormat, types: ContentTypes
) -> list[CloudEvent]:
    """The events of a request; a batch may hold none.

    Raises:
        RefusedError: 415 or 422.
    """
    kind = split_type(headers.get("content-type", ""))[0]
    if kind == STRUCTURED:
        return [_structured(read_json(body), format_, types)]
    if kind == BATCH:
        documents = read_json(body)
        if not isinstance(documents, list) or len(documents) > EVENTS_MAX:
            raise unprocessable(f"a batch is a list of at most {EVENTS_MAX:,} CloudEvents")
        return [_structured(one, format_, types) for one in documents]
    return [_binary(headers, body, format_)]


def handshake(headers: RequestHeaders) -> Answer:
    """The answer to a sender that asks whether it may send (HTTP 1.1 Web Hooks for Event Delivery, 4)."""
    origin = headers.get("webhook-request-origin", "*")
    return Answer(
        200,
        headers={"webhook-allowed-origin": origin, "webhook-allowed-rate": "*", "allow": "POST"},
    )


def _binary(headers: RequestHeaders, body: bytes, format_: BodyFormat) -> CloudEvent:
    attributes = {
        name.removeprefix("ce-"): _header_text(value)
        for name, value in headers.items()
        if name.startswith("ce-")
    }
    _check(attributes)
    event, value = _data(body, format_)
    return CloudEvent(attributes, headers.get("content-type", ""), event, value)


def _structured(document: Any, format_: BodyFormat, types: ContentTypes) -> CloudEvent:
    if not isinstance(document, dict):
        raise unprocessable("a CloudEvent is a JSON object")
    attributes: dict[str, str] = {}
    for name, found in document.items():
        if name in ("data", "data_base64", "datacontenttype") or found is None:
            continue
        attributes[name] = _attribute(name, found)
    _check(attributes)
    content_type = document.get("datacontenttype") or "application/json"
    if not isinstance(content_type, str):
        raise unprocessable("datacontenttype must be text")
    types.check_type(content_type)
    event, value = _data(_bytes_of(document, content_type), format_)
    return CloudEvent(attributes, content_type, event, value)


def _bytes_of(document: Mapping[str, Any], content_type: str) -> bytes:
    if (encoded := document.get("data_base64")) is not None:
        if document.get("data") is not None or not isinstance(encoded, str):
            raise unprocessable("a CloudEvent has either data or data_base64, which is text")
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise unprocessable("data_base64 is not base64") from None
    if "data" not in document:
        return b""
    kind = split_type(content_type)[0]
    data = document["data"]
    if isinstance(data, str) and not (kind.endswith(("/json", "+json"))):
        return data.encode()
    return orjson.dumps(data)


def _data(raw: bytes, format_: BodyFormat) -> tuple[Any, bytes]:
    if format_ == "json":
        raw = raw or b"null"  # an event need not have data
        return read_json(raw), raw
    return (read_text(raw) if format_ == "text" else raw), raw


def _attribute(name: str, found: Any) -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str | int):
        return str(found)
    raise unprocessable(f"attribute {_shown(name)} must be text, an integer or a boolean")


def _check(attributes: Mapping[str, str]) -> None:
    if attributes.get("specversion") != "1.0":
        raise unprocessable("specversion must be 1.0")
    for name in NEEDED:
        if not attributes.get(name):
            raise unprocessable(f"a CloudEvent needs the attribute {name}")
    if len(attributes) > ATTRIBUTES_MAX:
        raise unprocessable(f"a CloudEvent has at most {ATTRIBUTES_MAX} attributes")
    for name, text in attributes.items():
        if not _NAME.fullmatch(name):
            raise unprocessable(f"attribute {_shown(name)}: a name has 1 to 64 of a-z and 0-9")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise unprocessable(f"attribute {name} is not UTF-8") from None


def _header_text(value: str) -> str:
    """An attribute out of a header, where what is not ASCII is percent-encoded (HTTP binding, 3.1.3.2)."""
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise unprocessable("an attribute is not UTF-8") from None


def _shown(name: str) -> str:
    return repr(name[:64])
