"""A request that a webhook takes, to try it out."""

import uuid

import orjson

from headrace.connectors.webhook.config import IdempotencyConfig, WebhookConfig
from headrace.connectors.webhook.signatures import Signed, Verifier
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.feed import SampleRequest

_BODIES = {
    "json": b'{"type": "headrace.test", "message": "hello"}',
    "form": b"type=headrace.test&message=hello",
    "text": b"hello",
    "bytes": b"hello",
}
_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
    "bytes": "application/octet-stream",
}


def sample_of(
    config: WebhookConfig,
    path: str,
    verifier: Verifier,
    clock: Clock,
    *,
    body: bytes | None,
    content_type: str | None,
) -> SampleRequest:
    """A request signed as its sender would; every one is a delivery of its own, as far as that can be told."""
    id_ = str(uuid.uuid4())
    headers = {"content-type": content_type or _type_of(config)}
    if config.cloudevents:
        headers |= {
            "ce-specversion": "1.0",
            "ce-id": id_,
            "ce-source": "/headrace/test",
            "ce-type": "headrace.test",
        }
    if isinstance(config.idempotency, IdempotencyConfig) and config.idempotency.header:
        headers[config.idempotency.header] = id_
    sent = _body_of(config, id_) if body is None else body
    headers |= verifier.sign(Signed(sent, clock.now_ms(), id_))
    return SampleRequest(method=config.methods[0], path=path, headers=headers, body=sent)


def _type_of(config: WebhookConfig) -> str:
    if config.content_types and "*" not in config.content_types[0]:
        return config.content_types[0]
    return _TYPES[config.format]


def _body_of(config: WebhookConfig, id_: str) -> bytes:
    if config.format == "json" and config.verify.key_field is not None:
        return orjson.dumps({config.verify.key_field: id_, "type": "headrace.test"})
    return _BODIES[config.format]
