"""From a request to the records that are written for it."""

from collections.abc import Callable
from typing import Any

from headrace.connectors.webhook.cloud_events import CloudEvent, events_of
from headrace.connectors.webhook.cloud_events import check_type as check_event_type
from headrace.connectors.webhook.config import (
    DELIVERY,
    RECEIVED_AT,
    REQUEST_ID,
    SENDER,
    IdempotencyConfig,
    WebhookConfig,
)
from headrace.connectors.webhook.content import ContentTypes, read_body, unprocessable
from headrace.connectors.webhook.outgoing import Record
from headrace.connectors.webhook.remembered import DELIVERY_BYTES_MAX, digest_of
from headrace.connectors.webhook.request import RequestHeaders
from headrace.runtime.contracts.broker import Headers
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.computation import Computation
from headrace.runtime.task.records import encode_key

NAMES = ("event", "headers")
CONTENT_TYPE = "content-type"

DeliveryOf = Callable[[Any, RequestHeaders], Any]


class Records:
    """Makes the records of a request. Immutable."""

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._types = ContentTypes(config.format, config.content_types)
        patterns = (*config.verify.kept, *config.headers, CONTENT_TYPE)
        self._names = frozenset(one for one in patterns if not one.endswith("*"))
        self._prefixes = tuple(one[:-1] for one in patterns if one.endswith("*"))
        self._key = Computation("key", config.key, *NAMES) if config.key is not None else None
        self._needs_delivery = False
        self._delivery: DeliveryOf | None = None
        if isinstance(config.idempotency, IdempotencyConfig):
            self._needs_delivery = config.idempotency.needed
            self._delivery = delivery_of(config, config.idempotency)

    def check_type(self, headers: RequestHeaders) -> None:
        """Refuse a content type before the body is read.

        Raises:
            RefusedError: 415.
        """
        if self._config.cloudevents:
            check_event_type(headers, self._types)
        else:
            self._types.check(headers)

    def read(
        self, headers: RequestHeaders, body: bytes
    ) -> tuple[Any, Callable[[int, str, str | None], list[Record]]]:
        """The event of a body, and what makes records of it: of the time, the sender's address, and the request's id.

        Raises:
            RefusedError: 415 or 422.
        """
        config = self._config
        if config.cloudevents:
            events = events_of(headers, body, config.format, self._types)
            return None, lambda now_ms, sender, id_: [
                self._of_cloud_event(one, headers, self._own(now_ms, sender, id_), now_ms)
                for one in events
            ]
        event, value = read_body(config.format, body)
        return event, lambda now_ms, sender, id_: [
            self._record(
                event,
                value,
                headers,
                [*self._kept(headers), *self._own(now_ms, sender, id_)],
                now_ms,
                self._delivery,
            )
        ]

    def _of_cloud_event(
        self, one: CloudEvent, headers: RequestHeaders, own: Headers, now_ms: int
    ) -> Record:
        kept = [pair for pair in self._kept(headers) if pair[0] != CONTENT_TYPE]
        seen = {**headers, **{f"ce_{name}": text for name, text in one.attributes.items()}}
        written = [*one.headers(), *kept, *own]
        return self._record(
            one.event, one.value, seen, written, now_ms, self._delivery_of_event(one)
        )

    def _delivery_of_event(self, one: CloudEvent) -> DeliveryOf | None:
        config = self._config.idempotency
        if not isinstance(config, IdempotencyConfig):
            return None
        if config.header is None and config.key is None:
            return lambda _event, _headers: one.delivery
        return self._delivery

    def _record(
        self,
        event: Any,
        value: bytes,
        headers: RequestHeaders,
        written: Headers,
        now_ms: int,
        delivery: DeliveryOf | None,
    ) -> Record:
        try:
            key = encode_key(self._key(event, headers)) if self._key is not None else None
            told = encode_key(delivery(event, headers)) if delivery is not None else None
        except RecordError as error:
            raise unprocessable(str(error)) from error
        except UnicodeEncodeError:
            raise unprocessable("the name of the delivery is not UTF-8") from None
        if isinstance(key, str):
            key = _encoded(key, "key")
        digest = None
        if told:
            raw = _encoded(told, "name of the delivery") if isinstance(told, str) else told
            if len(raw) > DELIVERY_BYTES_MAX:
                raise unprocessable(f"the name of a delivery may have {DELIVERY_BYTES_MAX:,} bytes")
            digest = digest_of(raw)
            written.append((DELIVERY, raw))
        elif self._needs_delivery:
            raise unprocessable("the request must say which delivery it is; see idempotency")
        return Record(key, value, written, now_ms, digest)

    def _kept(self, headers: RequestHeaders) -> Headers:
        return [
            (name, text.encode("latin-1"))
            for name, text in headers.items()
            if name in self._names or name.startswith(self._prefixes)
        ]

    def _own(self, now_ms: int, sender: str, request_id: str | None) -> Headers:
        own: Headers = [(RECEIVED_AT, b"%d" % now_ms), (SENDER, sender.encode())]
        if request_id is not None:
            own.append((REQUEST_ID, request_id.encode()))
        return own


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise unprocessable(f"the {what} is not UTF-8") from None


def _raw(text: str) -> bytes:
    """A header's value as it was sent."""
    return text.encode("latin-1")


def delivery_of(config: WebhookConfig, idempotency: IdempotencyConfig) -> DeliveryOf | None:
    """How a request says which delivery it is: as the document says, or as the scheme's sender does."""
    if idempotency.key is not None:
        return Computation("idempotency.key", idempotency.key, *NAMES)
    header = idempotency.header or config.verify.key_header
    if header is not None:
        return lambda _event, headers: _raw(
            headers.get(header) or headers.get(ALIASES.get(header, ""), "")
        )
    if (name := config.verify.key_field) is not None:
        return lambda event, _headers: event.get(name) if isinstance(event, dict) else None
    return None


ALIASES: dict[str, str] = {"webhook-id": "svix-id"}
"""Headers of one scheme under another name."""


def remembers(config: WebhookConfig) -> bool:
    """Whether a webhook looks for duplicates."""
    if not isinstance(config.idempotency, IdempotencyConfig):
        return False
    return config.cloudevents or delivery_of(config, config.idempotency) is not None
