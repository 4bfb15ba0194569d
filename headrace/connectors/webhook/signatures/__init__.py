"""Who may send: one file per scheme, each a part of the document (`verify`) and the check that it asks for.

All compare in constant time, over the bytes of the body as they came in.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from headrace.connectors.webhook.signatures.authorization import Basic, Bearer, Token
from headrace.connectors.webhook.signatures.github import Github
from headrace.connectors.webhook.signatures.hashed import Hashed, Shopify
from headrace.connectors.webhook.signatures.scheme import (
    Nobody,
    Refusal,
    Scheme,
    Signed,
    Verifier,
    verifier_of,
)
from headrace.connectors.webhook.signatures.slack import Slack
from headrace.connectors.webhook.signatures.standard import Standard
from headrace.connectors.webhook.signatures.stripe import Stripe


def _named(value: object) -> object:
    return {"scheme": value} if value == "none" else value


Verification = Annotated[
    Annotated[
        Github | Stripe | Slack | Standard | Shopify | Hashed | Bearer | Token | Basic | Nobody,
        Field(discriminator="scheme"),
    ],
    BeforeValidator(_named),
]

__all__ = ["Refusal", "Scheme", "Signed", "Verification", "Verifier", "verifier_of"]
