"""A hash with a secret (HMAC, RFC 2104) in a header: what most other senders do, each in its own way."""

import base64
import hmac
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from headrace.connectors.webhook.request import RequestHeaders
from headrace.connectors.webhook.signatures.scheme import (
    WRONG,
    Refusal,
    Scheme,
    Secrets,
    Signed,
    Timed,
    Verifier,
    check_time,
    is_one_of,
    needed,
)

TIME, BODY = "{timestamp}", "{body}"
_UNITS_MS = {"s": 1000, "ms": 1}


def _signed_text(text: str) -> str:
    if text.count(BODY) != 1 or text.count(TIME) > 1:
        raise ValueError(f"must hold {BODY} once, and {TIME} at most once")
    return text


class Hashed(Timed):
    """Any HMAC, described by the document."""

    scheme: Literal["hmac"]
    secrets: Secrets
    header: str = Field(min_length=1, description="the header that holds the signature")
    algorithm: Literal["sha256", "sha512", "sha384", "sha1"] = Field(
        "sha256", description="the hash"
    )
    encoding: Literal["hex", "base64"] = Field("hex", description="how the signature is written")
    prefix: str = Field("", description="what stands before the signature, such as `sha256=`")
    signed: Annotated[str, AfterValidator(_signed_text)] = Field(
        BODY, description="what is signed, such as `{timestamp}.{body}`"
    )
    timestamp_header: str | None = Field(None, description="the header that holds the time")
    timestamp_unit: Literal["s", "ms"] = Field("s", description="what the time is counted in")

    @model_validator(mode="after")
    def _time_is_signed(self) -> "Hashed":
        if (self.timestamp_header is not None) != (TIME in self.signed):
            raise ValueError(
                f"timestamp_header and {TIME} in `signed` belong together: a time that is not signed can be changed"
            )
        return self

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return HashVerifier(self, [one.encode() for one in secrets])


class HashVerifier(Verifier):
    """The check of any HMAC."""

    def __init__(self, config: Hashed, secrets: Sequence[bytes]) -> None:
        self._config = config
        self._secrets = secrets
        self._header = config.header.lower()
        self._time_header = config.timestamp_header.lower() if config.timestamp_header else None
        before, _, after = config.signed.partition(BODY)
        self._before, self._after = before.encode(), after.encode()

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        config = self._config
        given = needed(headers, self._header)
        time = needed(headers, self._time_header) if self._time_header else None
        if not given.startswith(config.prefix):
            raise Refusal(f"the header {self._header} must begin with {config.prefix}")
        given = given[len(config.prefix) :].strip()
        if config.encoding == "hex":
            given = given.lower()
        if not is_one_of([given], list(self._signatures(time, body))):
            raise Refusal(WRONG)
        if time is not None:
            unit_ms = _UNITS_MS[config.timestamp_unit]
            check_time(time, now_ms, config.tolerance_ms, unit_ms=unit_ms)

    def sign(self, signed: Signed) -> dict[str, str]:
        headers: dict[str, str] = {}
        time = None
        if self._time_header:
            time = str(signed.now_ms // _UNITS_MS[self._config.timestamp_unit])
            headers[self._time_header] = time
        first = next(iter(self._signatures(time, signed.body)))
        headers[self._header] = self._config.prefix + first.decode()
        return headers

    def _signatures(self, time: str | None, body: bytes) -> Iterable[bytes]:
        before, after = self._before, self._after
        if time is not None:
            raw = time.encode("latin-1")
            before, after = before.replace(TIME.encode(), raw), after.replace(TIME.encode(), raw)
        for secret in self._secrets:
            made = hmac.digest(secret, before + body + after, self._config.algorithm)
            yield made.hex().encode() if self._config.encoding == "hex" else base64.b64encode(made)


class Shopify(Scheme):
    """`x-shopify-hmac-sha256`: base64 over the body."""

    kept: ClassVar[tuple[str, ...]] = (
        "x-shopify-topic",
        "x-shopify-shop-domain",
        "x-shopify-api-version",
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-triggered-at",
    )
    key_header: ClassVar[str | None] = "x-shopify-webhook-id"
    status: ClassVar[int] = 200

    scheme: Literal["shopify"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        described = Hashed(
            scheme="hmac",
            secrets=self.secrets,
            header="x-shopify-hmac-sha256",
            encoding="base64",
        )
        return _ShopifyVerifier(described, [one.encode() for one in secrets])


class _ShopifyVerifier(HashVerifier):
    def sign(self, signed: Signed) -> dict[str, str]:
        return {**super().sign(signed), "x-shopify-webhook-id": signed.id}
