"""Slack: https://docs.slack.dev/authentication/verifying-requests-from-slack."""

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

SIGNATURE = "x-slack-signature"
TIME = "x-slack-request-timestamp"


class Slack(Timed):
    """`x-slack-signature` over time and body; the challenge of `url_verification` is answered by the bridge itself."""

    kept: ClassVar[tuple[str, ...]] = ("x-slack-retry-num", "x-slack-retry-reason")
    key_field: ClassVar[str | None] = "event_id"
    status: ClassVar[int] = 200  # what else is answered to a command is shown in the channel

    scheme: Literal["slack"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier([one.encode() for one in secrets], self.tolerance_ms)


class _Verifier(Verifier):
    def __init__(self, secrets: Sequence[bytes], tolerance_ms: int) -> None:
        self._secrets = secrets
        self._tolerance_ms = tolerance_ms

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        given, time = needed(headers, SIGNATURE), needed(headers, TIME)
        if not is_one_of([given], [_signature(one, time, body) for one in self._secrets]):
            raise Refusal(WRONG)
        check_time(time, now_ms, self._tolerance_ms)

    def sign(self, signed: Signed) -> dict[str, str]:
        time = str(signed.now_ms // 1000)
        return {SIGNATURE: _signature(self._secrets[0], time, signed.body).decode(), TIME: time}


def _signature(secret: bytes, time: str, body: bytes) -> bytes:
    text = b"v0:" + time.encode("latin-1") + b":" + body
    return b"v0=" + hmac.digest(secret, text, "sha256").hex().encode()
