"""Secrets that are sent as they are: safe over TLS only, and no proof that the body is unchanged."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from headrace.connectors.webhook.request import RequestHeaders
from headrace.connectors.webhook.signatures.scheme import (
    Refusal,
    Scheme,
    Secrets,
    Signed,
    Verifier,
    digest,
    needed,
)

AUTHORIZATION = "authorization"


class Bearer(Scheme):
    """`authorization: Bearer <token>` (RFC 6750)."""

    secret_headers: ClassVar[tuple[str, ...]] = (AUTHORIZATION,)

    scheme: Literal["bearer"]
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier(AUTHORIZATION, "bearer", secrets)


class Token(Scheme):
    """A token in a header of any name, such as GitLab's `x-gitlab-token`."""

    scheme: Literal["token"]
    secrets: Secrets
    header: str = Field(min_length=1, description="the header that holds the token")

    def hidden_headers(self) -> tuple[str, ...]:
        return (self.header.lower(),)

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier(self.header.lower(), "", secrets)


class Basic(Scheme):
    """`authorization: Basic ...` (RFC 7617), with one user and one or more passwords."""

    secret_headers: ClassVar[tuple[str, ...]] = (AUTHORIZATION,)

    scheme: Literal["basic"]
    user: str = Field(min_length=1, pattern="^[^:]+$", description="the user's name")
    secrets: Secrets

    def verifier(self, secrets: Sequence[str]) -> Verifier:
        return _Verifier(AUTHORIZATION, "basic", [f"{self.user}:{one}" for one in secrets])


class _Verifier(Verifier):
    def __init__(self, header: str, kind: str, secrets: Sequence[str]) -> None:
        self._header = header
        self._kind = kind
        self._first = secrets[0]
        self._digests = [digest(one) for one in secrets]

    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:  # noqa: ARG002 # neither is signed
        given = needed(headers, self._header).strip()
        if self._kind:
            kind, _, given = given.partition(" ")
            if kind.lower() != self._kind:
                raise Refusal(f"the header {self._header} must begin with {self._kind.title()}")
            given = given.strip()
        raw = given.encode("latin-1")
        if self._kind == "basic":
            raw = _decoded(raw)
        shown = digest(raw.decode("utf-8", "surrogateescape"))
        is_right = False
        for right in self._digests:
            is_right |= hmac.compare_digest(shown, right)
        if not is_right:
            raise Refusal("the credentials are not those of this webhook")

    def sign(self, signed: Signed) -> dict[str, str]:  # noqa: ARG002 # nothing of it is signed
        secret = self._first
        if self._kind == "basic":
            secret = base64.b64encode(secret.encode()).decode()
        return {self._header: f"{self._kind.title()} {secret}".strip()}


def _decoded(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error:
        raise Refusal("the credentials must be base64") from None
