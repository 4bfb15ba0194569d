"""Vectors of every scheme; each with a byte changed, a stale time, a wrong and a rotated secret."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from headrace.connectors.webhook.signatures import (
    Refusal,
    Scheme,
    Signed,
    Verification,
    Verifier,
    verifier_of,
)
from headrace.runtime.errors import SettingsError

SCHEMES: TypeAdapter[Scheme] = TypeAdapter(Verification)

# Each: the config, the secret, a time in ms, the body, and the headers.
VECTORS: Mapping[str, tuple[dict[str, Any], str, int, bytes, dict[str, str]]] = {
    # GitHub's own example ("Testing the webhook payload validation").
    "github": (
        {"scheme": "github"},
        "It's a Secret to Everybody",
        0,
        b"Hello, World!",
        {
            "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
    ),
    # The example of Standard Webhooks' and Svix' documentation.
    "standard": (
        {"scheme": "standard"},
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        1614265330000,
        b'{"test": 2432232314}',
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
    ),
    "svix": (
        {"scheme": "standard"},
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        1614265330000,
        b'{"test": 2432232314}',
        {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
    ),
    # Slack's own example ("Verifying requests from Slack").
    "slack": (
        {"scheme": "slack"},
        "8f742231b10e8888abcd99yyyzzz85a5",
        1531420618000,
        (
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
            b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
            b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
            b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
        ),
        {
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "x-slack-request-timestamp": "1531420618",
        },
    ),
}


def verifier(config: Mapping[str, Any], *secrets: str) -> Verifier:
    names = [f"${{secret.S{number}}}" for number in range(len(secrets))]
    scheme = SCHEMES.validate_python({**config, "secrets": names} if secrets else config)
    return verifier_of(scheme, {f"secret_{number}": one for number, one in enumerate(secrets)})


def is_let_in(check: Verifier, headers: Mapping[str, str], body: bytes, now_ms: int) -> bool:
    try:
        check.check(headers, body, now_ms)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("name", VECTORS)
def test_the_published_examples_are_let_in(name: str) -> None:
    config, secret, now_ms, body, headers = VECTORS[name]

    assert is_let_in(verifier(config, secret), headers, body, now_ms)


def test_the_example_of_the_hash_that_others_describe() -> None:
    # RFC 4231, test case 2, as a sender would write it that signs the body with SHA-256.
    config = {"scheme": "hmac", "header": "X-Signature", "prefix": "hmac "}
    made = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    body = b"what do ya want for nothing?"

    assert is_let_in(verifier(config, "Jefe"), {"x-signature": f"hmac {made}"}, body, 0)
    assert is_let_in(verifier(config, "Jefe"), {"x-signature": f"hmac {made.upper()}"}, body, 0)
    assert not is_let_in(verifier(config, "Jefe"), {"x-signature": made}, body, 0)


NOW_MS = 1_700_000_000_000
BODY = b'{"id": "evt_1", "text": "\xc3\xa9"}'
STANDARD_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
CONFIGS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "github": ({"scheme": "github"}, "one", "two"),
    "stripe": ({"scheme": "stripe"}, "whsec_one", "whsec_two"),
    "slack": ({"scheme": "slack"}, "one", "two"),
    "standard": ({"scheme": "standard"}, STANDARD_SECRET, OTHER_SECRET),
    "shopify": ({"scheme": "shopify"}, "one", "two"),
    "hmac": ({"scheme": "hmac", "header": "x-sig", "algorithm": "sha1"}, "one", "two"),
    "hmac with time": (
        {
            "scheme": "hmac",
            "header": "x-sig",
            "encoding": "base64",
            "algorithm": "sha512",
            "signed": "v2:{timestamp}:{body}.",
            "timestamp_header": "X-Time",
            "timestamp_unit": "ms",
        },
        "one",
        "two",
    ),
}
TIMED = ("stripe", "slack", "standard", "hmac with time")
SENT = {
    "bearer": ({"scheme": "bearer"}, "one", "two"),
    "basic": ({"scheme": "basic", "user": "ann"}, "one", "two"),
    "token": ({"scheme": "token", "header": "X-Gitlab-Token"}, "one", "two"),
}
ALL = {**CONFIGS, **SENT}
SHOWN = ("authorization", "x-gitlab-token")


def signed_by(name: str, secret: str, now_ms: int = NOW_MS) -> dict[str, str]:
    return verifier(ALL[name][0], secret).sign(Signed(BODY, now_ms, "d-1"))


@pytest.mark.parametrize("name", ALL)
def test_what_was_signed_with_the_secret_is_let_in_and_nothing_else(name: str) -> None:
    config, secret, other = ALL[name]

    assert is_let_in(verifier(config, secret), signed_by(name, secret), BODY, NOW_MS)
    assert not is_let_in(verifier(config, other), signed_by(name, secret), BODY, NOW_MS)
    assert not is_let_in(verifier(config, secret), {}, BODY, NOW_MS)


@pytest.mark.parametrize("name", ALL)
def test_while_a_secret_is_rotated_both_are_let_in(name: str) -> None:
    config, old, new = ALL[name]
    both = verifier(config, new, old)

    assert is_let_in(both, signed_by(name, old), BODY, NOW_MS)
    assert is_let_in(both, signed_by(name, new), BODY, NOW_MS)


@pytest.mark.parametrize("name", CONFIGS)
def test_any_byte_of_the_body_that_is_changed_is_noticed(name: str) -> None:
    config, secret, _ = CONFIGS[name]
    check = verifier(config, secret)
    headers = signed_by(name, secret)
    changed = [
        BODY[:at] + bytes([BODY[at] ^ bit]) + BODY[at + 1 :]
        for at in range(len(BODY))
        for bit in (1, 128)
    ]

    assert not any(is_let_in(check, headers, one, NOW_MS) for one in [*changed, BODY + b"\n", b""])


@pytest.mark.parametrize("name", ALL)
def test_any_byte_of_what_is_shown_that_is_changed_is_noticed(name: str) -> None:
    config, secret, _ = ALL[name]
    check = verifier(config, secret)
    headers = signed_by(name, secret)
    proof = next(one for one in headers if "sig" in one or "hmac" in one or one in SHOWN)
    text = headers[proof]
    changed = [{**headers, proof: text[:at] + "~" + text[at + 1 :]} for at in range(len(text))]

    assert is_let_in(check, headers, BODY, NOW_MS)
    assert not any(is_let_in(check, one, BODY, NOW_MS) for one in changed)


@pytest.mark.parametrize("name", TIMED)
def test_a_request_is_let_in_near_its_time_only(name: str) -> None:
    config, secret, _ = CONFIGS[name]
    headers = signed_by(name, secret)
    let_in = [
        is_let_in(verifier({**config, **extra}, secret), headers, BODY, NOW_MS + late_ms)
        for extra, late_ms in (
            ({}, 300_000),
            ({}, -300_000),
            ({}, 301_000),
            ({}, -301_000),
            ({"tolerance": "1h"}, 301_000),
        )
    ]

    assert let_in == [True, True, False, False, True]


@pytest.mark.parametrize("name", TIMED)
def test_the_time_cannot_be_changed_without_the_secret(name: str) -> None:
    config, secret, _ = CONFIGS[name]
    headers = signed_by(name, secret, NOW_MS - 1_000_000)
    old, new = str(NOW_MS // 1000 - 1000), str(NOW_MS // 1000)

    forged = {key: text.replace(old, new) for key, text in headers.items()}

    assert forged != headers
    assert not is_let_in(verifier(config, secret), forged, BODY, NOW_MS)


def test_a_sender_that_rotates_gives_two_signatures_of_which_one_fits() -> None:
    new = signed_by("standard", OTHER_SECRET)["webhook-signature"]
    old = signed_by("standard", STANDARD_SECRET)
    both = {**old, "webhook-signature": f"{new} {old['webhook-signature']}"}
    stripe_old, stripe_new = signed_by("stripe", "old"), signed_by("stripe", "new")
    second = stripe_old["stripe-signature"].partition(",")[2]
    stripe_both = {"stripe-signature": stripe_new["stripe-signature"] + ",v0=abc," + second}

    assert is_let_in(verifier({"scheme": "standard"}, STANDARD_SECRET), both, BODY, NOW_MS)
    assert is_let_in(verifier({"scheme": "stripe"}, "old"), stripe_both, BODY, NOW_MS)


def test_stripe_signs_time_and_body() -> None:
    text = b"1700000000." + BODY
    made = hmac.new(b"whsec_one", text, hashlib.sha256).hexdigest()

    headers = {"stripe-signature": f"t=1700000000,v1={made}"}

    assert is_let_in(verifier({"scheme": "stripe"}, "whsec_one"), headers, BODY, NOW_MS)


def test_a_public_key_checks_asymmetric_signatures() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    made = base64.b64encode(private.sign(b"d-1.1700000000." + BODY)).decode()
    headers = {"webhook-id": "d-1", "webhook-timestamp": "1700000000"}
    check = verifier({"scheme": "standard"}, public)
    let_in = [
        is_let_in(check, {**headers, "webhook-signature": text}, body, NOW_MS)
        for text, body in (
            (f"v1,AAAA v1a,{made}", BODY),
            (f"v1a,{made}", BODY + b" "),
            ("v1a,AAAA", BODY),
            ("v1a,%", BODY),
            (f"v1,{made}", BODY),
        )
    ]

    assert let_in == [True, False, False, False, False]
    with pytest.raises(SettingsError, match="public keys alone"):
        check.sign(Signed(BODY, NOW_MS, "d"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t=1700000000",
        "v1=abc",
        "t=1,t=1,v1=abc",
        "t=\u00b2,v1=\u00e9",
        "," * 10_000,
        "t=1700000000," + "v1=0," * 1_000,
        "t=" + "9" * 10_000 + ",v1=0",
    ],
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    check = verifier({"scheme": "stripe"}, "one")

    assert not is_let_in(check, {"stripe-signature": text}, BODY, NOW_MS)


@pytest.mark.parametrize(
    "text",
    ["Basic", "Basic %%%", "Basic \u00e9", "Bearer x", "Basic YW5u", "Basic " + "Y" * 99_999],
)
def test_what_are_no_credentials_is_refused(text: str) -> None:
    check = verifier({"scheme": "basic", "user": "ann"}, "one")

    assert not is_let_in(check, {"authorization": text}, BODY, NOW_MS)


@pytest.mark.parametrize(
    ("config", "secrets", "message"),
    [
        ({"scheme": "github"}, ["ok", " "], "secret 2 is empty"),
        ({"scheme": "standard"}, ["whsec_%"], "is base64"),
        ({"scheme": "standard"}, ["whpk_AAAA"], "has 32 bytes, found 3"),
    ],
)
def test_secrets_that_cannot_work_are_refused_at_the_start(
    config: Any, secrets: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        verifier(config, *secrets)

    assert "AAAA" not in str(raised.value)
    assert "%" not in str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        {"scheme": "hmac", "header": "x", "signed": "{timestamp}{body}"},
        {"scheme": "hmac", "header": "x", "timestamp_header": "x-time"},
        {"scheme": "hmac", "header": "x", "signed": "nothing"},
        {"scheme": "github", "secrets": []},
        {"scheme": "unknown"},
        "github",
    ],
)
def test_schemes_that_protect_nothing_are_refused(config: Any) -> None:
    if isinstance(config, dict) and "secrets" not in config:
        config = {**config, "secrets": "${secret.S}"}

    with pytest.raises(ValueError, match="validation error"):
        SCHEMES.validate_python(config)
