"""GitHub: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries."""

import hmac
from collections.abc import Sequence
from typing import ClassVar, Literal

from headrace.connectors.webhook.request import RequestHeaders
from headrace.connectors.webhook.signatures.scheme import (
    WRONG,
    Refusal,
    Scheme,
    Secrets,
    Signed,
    Verifier,
    is_one_of,
    needed,
)

HEADER = "x-hub-signature-256"


class Github(Scheme):
    """`x-hub-signature-256` over the body alone.

    Neither the time nor the delivery is signed: `x-github-delivery`, which is remembered, is all that tells a replay.
    """

    kept: ClassVar[tuple[str, ...]] = ("x-github-*",)
    key_header: ClassVar[str | None] = "x-github-delivery"

    scheme: Literal["github"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier([one.encode() for one in secrets])


class _Verifier(Verifier):
    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:  # noqa: ARG002 # the time is not signed
        given = needed(headers, HEADER)
        if not is_one_of([given], [_signature(secret, body) for secret in self._secrets]):
            raise Refusal(WRONG)

    def sign(self, signed: Signed) -> dict[str, str]:
        return {
            HEADER: _signature(self._secrets[0], signed.body).decode(),
            "x-github-event": "ping",
            "x-github-delivery": signed.id,
        }


def _signature(secret: bytes, body: bytes) -> bytes:
    return b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode()
