"""The `config` of `action: webhook`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, field_validator
from pydantic_core import CoreSchema

from headrace.connectors.kafka_trigger import parse_start
from headrace.connectors.publish import is_topic_name
from headrace.connectors.webhook.signatures import Verification
from headrace.runtime.contracts.action import ActionConfig, Start
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Expression
from headrace.runtime.expression.schema import expression_schema

BODY_BYTES: Final = 1_000_000
BODY_BYTES_MAX: Final = 100_000_000
HELD_BYTES: Final = 256_000_000
REQUEST_ID: Final = "webhook-request"
"""The header by which the answer of a run finds its request (`mode: sync`)."""
RECEIVED_AT: Final = "webhook-received-at"
SENDER: Final = "webhook-sender"
DELIVERY: Final = "webhook-delivery"
OWN_HEADERS: Final = (REQUEST_ID, RECEIVED_AT, SENDER, DELIVERY)
NEVER_KEPT: Final = ("authorization", "proxy-authorization", "cookie")

_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_TAKEN = ("state", "health", "metrics")
_HEADER = re.compile(r"[a-z0-9!#$%&'+.^_`|~-]+\*?")
_TOPIC_RULE = "a topic's name has 1 to 249 letters, digits, '.', '_' or '-'"


@dataclass(frozen=True)
class RequestNames:
    """Limits an expression to what a request has: `event` (its body, as the format reads it) and `headers`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return expression_schema(Expression.parse, Expression, frozenset(("event", "headers")))


RequestExpression = Annotated[Expression, RequestNames()]


def _many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0")
    return value


def _header_pattern(text: str) -> str:
    lower = text.lower()
    if not _HEADER.fullmatch(lower):
        raise ValueError(f"{text!r} is no name of a header; a `*` may stand at its end")
    return lower


def _header_name(text: str) -> str:
    lower = _header_pattern(text)
    if lower.endswith("*"):
        raise ValueError("must be one header")
    return lower


def _topic(text: str) -> str:
    if not is_topic_name(text):
        raise ValueError(f"{_TOPIC_RULE}; found {text!r}")
    return text


Wait = Annotated[Duration, AfterValidator(_positive)]
Topic = Annotated[str, AfterValidator(_topic)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderPattern = Annotated[str, AfterValidator(_header_pattern)]


class Rate(ActionConfig):
    """So many requests in so much time."""

    limit: int = Field(ge=1, le=1_000_000, description="so many requests ...")
    per: Wait = Field(timedelta(seconds=1), description="... in so much time, evenly")
    burst: int | None = Field(
        None, ge=1, description="so many at once after a pause; as many as `limit` when left out"
    )


class LimitsConfig(ActionConfig):
    """What one worker takes on."""

    body: int = Field(
        BODY_BYTES,
        ge=1,
        le=BODY_BYTES_MAX,
        description="bytes of a body; the topic is made with room for it",
    )
    body_timeout: Wait = Field(timedelta(seconds=10), description="for the whole body to come in")
    in_flight: int = Field(
        512, ge=1, le=100_000, description="requests at once; more are answered with 503"
    )
    in_flight_per_source: int = Field(
        256, ge=1, le=100_000, description="requests at once from one address; 429"
    )
    held: int = Field(
        HELD_BYTES, ge=1, description="bytes of bodies at once; requests beyond get 503"
    )
    rate: Rate | None = Field(None, description="of all requests; more are answered with 429")
    rate_per_source: Rate | None = Field(None, description="of the requests from one address; 429")


class IdempotencyConfig(ActionConfig):
    """What tells that a request was taken already."""

    header: HeaderName | None = Field(None, description="the header that names the delivery")
    key: RequestExpression | None = Field(
        None, description="an expression over `event` and `headers`, in place of `header`"
    )
    needed: bool = Field(False, description="refuse requests without one, with 422")
    window: Wait = Field(timedelta(hours=24), description="how long a delivery is remembered")
    remembered: int = Field(
        100_000, ge=1, le=10_000_000, description="how many deliveries at most, in each worker"
    )
    duplicates: Literal["accept", "refuse"] = Field(
        "accept", description="how a duplicate is answered: 200, or 409"
    )
    across_workers: bool = Field(
        False, description="read the topic all the time, to know what other workers have taken"
    )


class ReplyConfig(ActionConfig):
    """Where the answers of runs come from (`mode: sync`)."""

    topic: Topic | None = Field(
        None, description="the topic that the flow publishes answers to; `<flow>.<stage>.replies`"
    )
    timeout: Wait = Field(timedelta(seconds=10), description="how long the run may take; 504")


class WebhookConfig(ActionConfig):
    """Who may send what, and what becomes of it."""

    verify: Verification = Field(
        description="who may send: a scheme with its secrets, or `none`; see docs/webhooks.md"
    )
    path: str | None = Field(
        None, description="the path on the worker's HTTP server; `/hooks/<flow>/<stage>`"
    )
    methods: Annotated[tuple[Literal["POST", "PUT", "PATCH"], ...], BeforeValidator(_many)] = Field(
        default_factory=lambda: ("POST",),
        min_length=1,
        description="the methods that are taken; POST",
    )
    topic: Topic | None = Field(None, description="the topic written to; `<flow>.<stage>`")
    partitions: int | None = Field(None, ge=1, description="of the topic, when it is made")
    format: Literal["json", "form", "text", "bytes"] = Field(
        "json", description="what bodies are: json, form (becomes JSON), text or bytes"
    )
    cloudevents: bool = Field(
        False, description="bodies are CloudEvents: binary, structured, or a batch of them"
    )
    content_types: Annotated[tuple[str, ...], BeforeValidator(_many)] = Field(
        (), description="content types that are taken in place of the format's own; `*/*` for any"
    )
    key: RequestExpression | None = Field(
        None, description="the record's key, over `event` and `headers`"
    )
    headers: Annotated[tuple[HeaderPattern, ...], BeforeValidator(_many)] = Field(
        (), description="headers to keep, besides those of the scheme; `x-tenant-*` for several"
    )
    idempotency: IdempotencyConfig | Literal["none"] = Field(
        default_factory=IdempotencyConfig,
        description="how duplicates are found; by what the scheme's sender says when left out",
    )
    limits: LimitsConfig = Field(
        default_factory=LimitsConfig, description="sizes, rates, requests at once"
    )
    ack_timeout: Wait = Field(
        timedelta(milliseconds=2500), description="how long Kafka may take; 503"
    )
    proxies: int = Field(
        0, ge=0, le=10, description="trusted proxies in front, which add to x-forwarded-for"
    )
    status: int | None = Field(
        None, ge=200, le=299, description="the status of the answer; 202, or the scheme's"
    )
    mode: Literal["async", "sync"] = Field(
        "async", description="sync answers with what the run publishes to `reply.topic`"
    )
    reply: ReplyConfig = Field(default_factory=ReplyConfig, description="for `mode: sync`")
    start: Start | str = Field("earliest", description="where a new group begins, as in `kafka`")
    on_data_loss: Literal["fail", "continue"] = Field(
        "fail", description="when retention deleted records before they were read, as in `kafka`"
    )

    @field_validator("path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not _PATH.fullmatch(value):
            raise ValueError("must be like /hooks/github: letters, digits, '.', '_', '~', '-'")
        if value is not None and value.split("/")[1] in _TAKEN:
            raise ValueError(f"{value} is where the worker tells about itself; choose another")
        return value

    @field_validator("start")
    @classmethod
    def _start(cls, value: Start | str) -> Start:
        return parse_start(value)

    def found_problems(self) -> Iterable[str]:
        """What is wrong beyond the types."""
        for name in (*NEVER_KEPT, *self.verify.hidden_headers()):
            if any(is_kept(name, pattern) for pattern in self.headers):
                yield f"headers: '{name}' holds a secret and is never kept; name the others one by one"
        for name in OWN_HEADERS:
            if any(is_kept(name, pattern) for pattern in self.headers):
                yield f"headers: '{name}' is written by headrace itself"
        for template in self.verify.templates():
            for name in sorted(template.reads - {"env", "secret", "secrets"}):
                yield f"verify: a secret is made of `secret` and `env` only, found '{name}'"
            if template.is_constant:
                yield "verify: a secret does not belong into a document; write ${secret.NAME}"
        if self.limits.held < self.limits.body:
            yield "limits: 'held' must have room for one 'body'"
        if self.cloudevents and self.format == "form":
            yield "format: the data of a CloudEvent is json, text or bytes"
        if isinstance(self.idempotency, IdempotencyConfig):
            if self.idempotency.header and self.idempotency.key:
                yield "idempotency: has either 'header' or 'key'"
            if self.idempotency.header and self.idempotency.header in (
                *NEVER_KEPT,
                *self.verify.hidden_headers(),
            ):
                yield f"idempotency: '{self.idempotency.header}' holds a secret"


def is_kept(name: str, pattern: str) -> bool:
    """Whether a header is one of those that a pattern names."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
