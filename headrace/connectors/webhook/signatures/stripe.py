"""Stripe: https://docs.stripe.com/webhooks/signature."""

import hmac
from collections.abc import Sequence
from typing import ClassVar, Literal

from headrace.connectors.webhook.request import RequestHeaders
from headrace.connectors.webhook.signatures.scheme import (
    WRONG,
    Refusal,
    Secrets,
    Signed,
    Timed,
    Verifier,
    check_time,
    is_one_of,
    needed,
)

HEADER = "stripe-signature"


class Stripe(Timed):
    """`stripe-signature`: a time and signatures of `v1` over time and body."""

    key_field: ClassVar[str | None] = "id"

    scheme: Literal["stripe"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier([one.encode() for one in secrets], self.tolerance_ms)


class _Verifier(Verifier):
    def __init__(self, secrets: Sequence[bytes], tolerance_ms: int) -> None:
        self._secrets = secrets
        self._tolerance_ms = tolerance_ms

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        pairs = [
            part.strip().partition("=")[::2] for part in needed(headers, HEADER).split(",", 64)
        ]
        times = [value for name, value in pairs if name == "t"]
        given = [value for name, value in pairs if name == "v1"]
        if len(times) != 1 or not given:
            raise Refusal(f"{HEADER} must hold one t= and a v1=")
        signatures = [_signature(secret, times[0], body) for secret in self._secrets]
        if not is_one_of(given, signatures):
            raise Refusal(WRONG)
        check_time(times[0], now_ms, self._tolerance_ms)

    def sign(self, signed: Signed) -> dict[str, str]:
        time = str(signed.now_ms // 1000)
        return {HEADER: f"t={time},v1={_signature(self._secrets[0], time, signed.body).decode()}"}


def _signature(secret: bytes, time: str, body: bytes) -> bytes:
    return hmac.digest(secret, time.encode("latin-1") + b"." + body, "sha256").hex().encode("ascii")
