"""Standard Webhooks (https://www.standardwebhooks.com), which Svix, OpenAI, Supabase and many others send."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from headrace.connectors.webhook.request import RequestHeaders
from headrace.connectors.webhook.signatures.scheme import (
    SIGNATURES_MAX,
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
from headrace.runtime.errors import SettingsError

SYMMETRIC, PUBLIC = "whsec_", "whpk_"


class Standard(Timed):
    """`webhook-signature` (or `svix-signature`) over id, time and body.

    A secret is base64 behind `whsec_`; a public key behind `whpk_` checks the asymmetric signatures (`v1a`).
    """

    kept: ClassVar[tuple[str, ...]] = (
        "webhook-id",
        "webhook-timestamp",
        "svix-id",
        "svix-timestamp",
    )
    key_header: ClassVar[str | None] = "webhook-id"

    scheme: Literal["standard"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        shared = [_decoded(one.removeprefix(SYMMETRIC)) for one in secrets if not _is_public(one)]
        public = [
            _public_key(_decoded(one.removeprefix(PUBLIC))) for one in secrets if _is_public(one)
        ]
        return _Verifier(shared, public, self.tolerance_ms)


class _Verifier(Verifier):
    def __init__(
        self,
        shared: Sequence[bytes],
        public: Sequence[Callable[[bytes, bytes], bool]],
        tolerance_ms: int,
    ) -> None:
        self._shared = shared
        self._public = public
        self._tolerance_ms = tolerance_ms

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        prefix = "webhook" if "webhook-signature" in headers else "svix"
        if f"{prefix}-signature" not in headers:
            raise Refusal("the header webhook-signature is missing")
        id_, time = needed(headers, f"{prefix}-id"), needed(headers, f"{prefix}-timestamp")
        text = f"{id_}.{time}.".encode("latin-1") + body
        given = headers[f"{prefix}-signature"].split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]
        shared = [one[3:] for one in given if one.startswith("v1,")]
        expected = [_signature(secret, text) for secret in self._shared]
        is_right = is_one_of(shared, expected)
        if not is_right and not self._is_signed_by_key(given, text):
            raise Refusal(WRONG)
        check_time(time, now_ms, self._tolerance_ms)

    def _is_signed_by_key(self, given: Sequence[str], text: bytes) -> bool:
        for one in given if self._public else ():
            if not one.startswith("v1a,"):
                continue
            try:
                signature = base64.b64decode(one[4:].encode("latin-1"), validate=True)
            except binascii.Error:
                continue
            if any(is_right(signature, text) for is_right in self._public):
                return True
        return False

    def sign(self, signed: Signed) -> dict[str, str]:
        if not self._shared:
            raise SettingsError("verify: with public keys alone nothing can be signed here")
        time = str(signed.now_ms // 1000)
        text = f"{signed.id}.{time}.".encode() + signed.body
        return {
            "webhook-id": signed.id,
            "webhook-timestamp": time,
            "webhook-signature": "v1," + _signature(self._shared[0], text).decode(),
        }


def _signature(secret: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secret, text, "sha256"))


def _is_public(secret: str) -> bool:
    return secret.startswith(PUBLIC)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(
            f"verify: a secret of Standard Webhooks is base64, behind '{SYMMETRIC}' or '{PUBLIC}'"
        ) from None


def _public_key(raw: bytes) -> Callable[[bytes, bytes], bool]:
    """Whether a signature of this ed25519 key fits a text."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise SettingsError(
            f"verify: keys that begin with '{PUBLIC}' need the extra 'ed25519': pip install 'headrace[ed25519]'"
        ) from None
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise SettingsError(
            f"verify: a key behind '{PUBLIC}' has 32 bytes, found {len(raw)}"
        ) from None

    def is_right(signature: bytes, text: bytes) -> bool:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    return is_right
