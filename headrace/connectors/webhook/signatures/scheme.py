"""What every scheme has: its secrets, its headers, and a check that is made of the secrets' values."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from headrace.connectors.webhook.request import RequestHeaders
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.errors import SettingsError
from headrace.runtime.expression import Template

SIGNATURES_MAX = 16
"""Signatures of one request that are looked at: a sender that rotates its secret gives two."""
REPLAY = timedelta(minutes=5)


class Refusal(Exception):  # noqa: N818 # what a check answers with, told as 401; nothing has failed
    """A request is not from whom it should be. The text is for whoever sent it."""


@dataclass(frozen=True)
class Signed:
    """A body to sign for the test of a webhook."""

    body: bytes
    now_ms: int
    id: str


class Verifier(ABC):
    """A scheme with its secrets."""

    @abstractmethod
    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        """Raise Refusal unless one of the secrets fits."""

    @abstractmethod
    def sign(self, signed: Signed) -> dict[str, str]:
        """The headers of a request that `check` lets in, by the first secret."""


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str | Template) else value


Secrets = Annotated[
    tuple[Template, ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1, max_length=SIGNATURES_MAX, description="one that fits is enough"),
]


class Scheme(ActionConfig, ABC):
    """One scheme in a document. Subclasses add `scheme`, a literal, and may add settings."""

    kept: ClassVar[tuple[str, ...]] = ()
    """Headers that become headers of the record."""
    secret_headers: ClassVar[tuple[str, ...]] = ()
    """Headers that hold a secret, and must not be kept."""
    key_header: ClassVar[str | None] = None
    key_field: ClassVar[str | None] = None
    """Where a sender says which delivery it is: a header, or a field of a JSON body."""
    status: ClassVar[int] = 202
    """How requests are answered that are taken."""

    def templates(self) -> Sequence[Template]:
        """The secrets, whose values `verifier` gets."""
        return getattr(self, "secrets", ())

    def hidden_headers(self) -> tuple[str, ...]:
        """Lower-case names of headers that hold a secret."""
        return self.secret_headers

    @abstractmethod
    def verifier(self, secrets: Sequence[str]) -> Verifier:
        """The check.

        Raises:
            SettingsError: a secret is not of the form that the scheme has.
        """


class Nobody(Scheme):
    """No check: anybody who reaches the worker may write to the topic."""

    scheme: Literal["none"]

    def verifier(self, secrets: Sequence[str]) -> Verifier:  # noqa: ARG002 # there are none
        return _Anybody()


class _Anybody(Verifier):
    def check(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:  # noqa: ARG002 # nothing is signed
        return

    def sign(self, signed: Signed) -> dict[str, str]:  # noqa: ARG002 # nothing is signed
        return {}


class Timed(Scheme):
    """A scheme whose signature covers the time of sending, so that an old request cannot be sent again."""

    tolerance: Duration = Field(
        REPLAY, description="how far the time of a request may be from the worker's"
    )

    @property
    def tolerance_ms(self) -> int:
        return int(self.tolerance.total_seconds() * 1000)


def verifier_of(scheme: Scheme, settings: Mapping[str, Any]) -> Verifier:
    """The check of a scheme; `settings` has the values of `Route.settings`.

    Raises:
        SettingsError: a secret is empty, or not of the form that the scheme has.
    """
    secrets = []
    for number in range(len(scheme.templates())):
        value = settings[setting_name(number)]
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(
                f"verify: secret {number + 1} is empty; without it anybody could write"
            )
        secrets.append(value)
    return scheme.verifier(secrets)


def setting_name(number: int) -> str:
    """What the value of a secret is called among the settings of the route."""
    return f"secret_{number}"


def needed(headers: RequestHeaders, name: str) -> str:
    """A header that must be there."""
    value = headers.get(name)
    if value is None:
        raise Refusal(f"the header {name} is missing")
    return value


def check_time(text: str, now_ms: int, tolerance_ms: int, *, unit_ms: int = 1000) -> None:
    """Refuse a time that is not a whole number of seconds near ours."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise Refusal("the time of the request must be a whole number since 1970 UTC")
    if abs(now_ms - int(text) * unit_ms) > tolerance_ms:
        raise Refusal(
            f"the request was signed more than {tolerance_ms / 1000:g} s ago, or ahead of our clock; sign it anew"
        )


def is_one_of(given: Sequence[str], expected: Sequence[bytes]) -> bool:
    """Whether any of the signatures is right; takes as long whichever it is."""
    is_right = False
    for text in given[:SIGNATURES_MAX]:
        raw = text.encode("latin-1")
        for right in expected:
            is_right |= hmac.compare_digest(raw, right)
    return is_right


def digest(text: str) -> bytes:
    """Of equal lengths, so that comparing two takes the same time whatever was given."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


WRONG = "the signature does not fit the body; is the secret the right one, and was the body passed on unchanged?"
